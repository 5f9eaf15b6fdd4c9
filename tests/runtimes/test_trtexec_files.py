"""The JSON files of trtexec: times of runs, times of layers, what the layers are."""

from __future__ import annotations

import json

import pytest

from natdeploy.errors import InputError
from natdeploy.runtimes.trtexec_files import read_layer_info, read_profile, read_times
from tests.support.tool_outputs import exported_profile, exported_times, sample

OLD_TIMES, NEW_TIMES = "CONSTRUCTED_trtexec_exportTimes_8.0-8.2.json", "CONSTRUCTED_trtexec_exportTimes_8.5plus.json"
PROFILE, MEDIANS = "trtexec_exportProfile_8.x_no_median.json", "trtexec_exportProfile_8.5plus_median.json"


def test_the_old_layout_of_times_is_read():
    """Five runs with end-to-end times; those that began within the warm-up are dropped."""
    text = sample(OLD_TIMES)
    every = read_times(text, warmup_ms=50, version=(8, 0, 1))
    assert every.tolist() == [40.0695, 39.951, 39.9899, 40.0577, 39.9057]
    assert read_times(text, warmup_ms=100, version=(8, 2, 1)).tolist() == [39.9899, 40.0577, 39.9057]


def test_the_new_layout_of_times_is_read():
    """From 8.5 on the warm-up is not in the file, whatever the times at which runs began."""
    found = read_times(sample(NEW_TIMES), warmup_ms=1000, version=(8, 5, 2))
    assert found.tolist() == [39.9866, 39.9004, 40.0443, 40.0891, 39.9061]


@pytest.mark.parametrize("old", [True, False])
def test_the_warmup_of_old_versions_is_dropped(old):
    """8.4 has the new layout, but the warm-up in it."""
    text = exported_times([5.0] * 4, old=old)
    assert read_times(text, warmup_ms=10, version=(8, 4, 1)).size == 2
    with pytest.raises(InputError, match="none of its 4 runs came after the warm-up of 1000 ms"):
        read_times(text, warmup_ms=1000, version=(8, 4, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"computeMs": 0}, "run 2: computeMs is 0: a latency must be positive"),
        ({"computeMs": 7.0}, "run 2: computeMs is 7, but the run lasted from 5 to 10 ms"),
        ({"computeMs": "5"}, "computeMs is '5', not a number"),
        ({"computeMs": None}, "computeMs is 'None', not a number"),
        ({"computeMs": True}, "not a number"),
        ({"computeMs": -5.0}, "not a number of at least 0"),
        ({"computeMs": 10**400}, "computeMs is a number that is too large"),
        ({"gpuMs": 5.0}, "unknown layout"),
    ],
)
def test_damaged_times_are_refused(change, message):
    """Zeros, contradictions, other types and unknown keys."""
    rows = json.loads(exported_times([5.0, 5.0, 5.0]))
    rows[1] |= change
    with pytest.raises(InputError, match=message):
        read_times(json.dumps(rows), warmup_ms=1, version=(8, 5, 0))


def test_times_of_version_7_are_refused():
    """Its keys were others."""
    rows = [{"startInMs": 0, "endInMs": 1, "startComputeMs": 1, "endComputeMs": 2, "inMs": 1, "computeMs": 1}]
    with pytest.raises(InputError, match="unknown layout"):
        read_times(json.dumps(rows), warmup_ms=1, version=(8, 0, 1))


def test_a_profile_without_medians_is_read():
    """Names keep all their parts; copies that were left out take no time."""
    layers = read_profile(sample(PROFILE))
    assert len(layers) == 9
    assert layers[0].name == "Reformatting CopyNode for Input Tensor 0 to Conv_0 + PWN(Clip_3)"
    assert (layers[1].name, layers[1].mean_ms, layers[1].median_ms) == ("Conv_0 + PWN(Clip_3)", 0.0662771, None)
    assert layers[3].mean_ms == 0
    assert (layers[8].mean_ms, layers[8].percent) == (0.0621805, 1.27652)


def test_a_profile_with_medians_is_read():
    """The newer layout has one more figure."""
    (layer,) = read_profile(sample(MEDIANS))
    assert (layer.name, layer.mean_ms, layer.median_ms) == ("/conv1/Conv + /act1/Relu", 0.0280382, 0.027872)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (0, {"runs": 3}, "does not begin with the number of runs"),
        (1, {"averageMs": 2.0}, "layer 1: 100 runs of 2 ms do not add up to 100 ms"),
        (2, {"medianMs": 0}, "layer 2: the median is zero"),
        (2, {"percentage": 250}, "250 % is too much"),
        (2, {"name": 7}, "layer 2: unknown layout"),
        (2, {"color": "red"}, "layer 2: unknown layout"),
        (2, {"timeMs": "NaN"}, "timeMs is 'NaN', not a number"),
    ],
)
def test_damaged_profiles_are_refused(place, change, message):
    """Contradictions, other types and unknown keys are told by the layer."""
    rows = json.loads(exported_profile({"a": 1.0, "b": 3.0}))
    rows[place] |= change
    with pytest.raises(InputError, match=message):
        read_profile(json.dumps(rows))


def test_a_profile_of_nothing_is_refused():
    """No layers, or layers that all took no time."""
    zero = '[{"count": 1}, {"name": "a", "timeMs": 0, "averageMs": 0, "percentage": 0}]'
    for text in ('[{"count": 1}]', zero):
        with pytest.raises(InputError, match="no layer took any time"):
            read_profile(text)


def test_layer_info_of_names_alone_and_of_objects_is_read():
    """The two verbosities; newer versions tell the ONNX nodes of a layer."""
    layer = json.loads(sample("trtexec_exportLayerInfo_detailed_layer_8.x.json"))
    found = read_layer_info(json.dumps({"Layers": ["/stem/conv/Conv", layer], "Bindings": ["x", "y"]}))
    assert (found[0].name, found[0].kind) == ("/stem/conv/Conv", "")
    assert found[1].name.startswith("node_of_gpu_0/res4_0_branch2a_1 + node_of_gpu_0/")
    assert found[1].kind == "CaskConvolution"


def test_the_onnx_nodes_of_a_layer_are_read():
    """Constructed: metadata of a layer whose own name says nothing."""
    layer = {"Name": "__myl_Fc_0", "LayerType": "gemm", "Metadata": "[ONNX Layer: /a/Gemm]\x1e[ONNX Layer: /a/Add]"}
    (found,) = read_layer_info(json.dumps({"Layers": [layer]}))
    assert found.onnx_names == ("/a/Gemm", "/a/Add")


@pytest.mark.parametrize("document", [[], {}, {"Layers": []}, {"Layers": [7]}, {"Layers": [{"LayerType": "x"}]}, "x"])
def test_layer_info_of_another_layout_is_refused(document):
    """A single layer, or a list of something else, is not the file."""
    with pytest.raises(InputError, match=r"no list 'Layers'|the layer is neither a name nor an object"):
        read_layer_info(json.dumps(document))


@pytest.mark.parametrize("name", [OLD_TIMES, NEW_TIMES, PROFILE, MEDIANS])
def test_a_file_cut_anywhere_is_refused(name):
    """JSON that ends early gives no figure at all."""
    text = sample(name).rstrip()
    for end in range(0, len(text), 5):
        for read in (lambda cut: read_times(cut, warmup_ms=1, version=(8, 5, 0)), read_profile, read_layer_info):
            with pytest.raises(InputError, match=r"not valid JSON"):
                read(text[:end])
