"""An engine's profile as operators whose owners can be found. Names are as TensorRT forms them; times are made up."""

from __future__ import annotations

import numpy as np
import pytest

from natdeploy.core.operators import find_owners
from natdeploy.errors import InputError
from natdeploy.runtimes.trtexec_files import LayerInfo, LayerTime, read_profile
from natdeploy.runtimes.trtexec_operators import find_module, make_operator_profile
from tests.support.tool_outputs import exported_profile, sample

FIRST, SECOND = "/blocks/blocks.0/depthwise/conv/Conv", "/blocks/blocks.1/expand/conv/Conv"


def layers(*names: str) -> list[LayerTime]:
    """Return layers of a whole profile that take 1, 2, .. ms."""
    total = len(names) * (len(names) + 1) / 2
    return [
        LayerTime(name=name, mean_ms=float(place), median_ms=None, percent=100 * place / total)
        for place, name in enumerate(names, start=1)
    ]


def found_owners(*names: str, infos: tuple[LayerInfo, ...] = ()) -> list[str]:
    """Return the owners of layers by their names' modules."""
    return find_owners(make_operator_profile(layers(*names), infos).nodes, find_module, last="classifier")


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("/stem/conv/Conv", "stem"),
        (FIRST, "blocks.0"),
        ("/classifier/Gemm", "classifier"),
        ("Conv_8", None),
        ("639", None),
        ("/Add", None),
        ("", None),
    ],
)
def test_a_module_is_read_from_an_onnx_nodes_name(name, module):
    """Scopes come first; a list's member has the list's name before it."""
    assert find_module(name) == module


def test_medians_are_the_times_of_the_one_run():
    """The median where it is told, else the mean, in microseconds."""
    names = {FIRST: 1.0, SECOND: 3.0}
    assert make_operator_profile(read_profile(exported_profile(names))).times_us.tolist() == [[500, 1500]]
    profile = make_operator_profile(read_profile(exported_profile(names, median=False)))
    assert profile.times_us.tolist() == [[1000, 3000]]
    assert profile.shares() == pytest.approx(np.array([0.25, 0.75]))


def test_a_fused_layer_keeps_the_names_of_all_its_parts():
    """The first that names a module is in front, so that it is read like any other operator's name."""
    nodes = make_operator_profile(
        layers(f"{FIRST} + PWN(PWN(/blocks/blocks.0/act/HardSigmoid), /blocks/blocks.0/act/Mul)", f"Clip_3 || {SECOND}")
    ).nodes
    assert nodes[0].name == f"{FIRST} + /blocks/blocks.0/act/HardSigmoid + /blocks/blocks.0/act/Mul"
    assert nodes[1].name == f"{SECOND} + Clip_3"
    assert [node.consumers for node in nodes] == [(1,), ()]


@pytest.mark.parametrize(
    "moving",
    [
        f"Reformatting CopyNode for Input Tensor 0 to {FIRST} + PWN(Clip_3)",
        f"Reformatting CopyNode for Output Tensor 0 to {FIRST}",
        f"reshape_after_{FIRST}",
        "(Unnamed Layer* 12) [Shuffle]",
        "639 copy",
        "Reshape_202 + Transpose_203",
    ],
)
def test_a_layer_that_only_moves_data_belongs_to_the_next(moving):
    """Also where its name tells from which layer the data comes; a last one belongs to the last layer."""
    assert found_owners(FIRST, moving, SECOND, moving) == ["blocks.0", "blocks.1", "blocks.1", "classifier"]


def test_a_region_of_one_module_is_that_modules():
    """Myelin's regions are told by their ends."""
    region = "{ForeignNode[/pooling/ReduceMean.../pooling/Reshape]}"
    assert found_owners(FIRST, region) == ["blocks.0", "pooling"]


@pytest.mark.parametrize(
    "region",
    [
        "{ForeignNode[/stem/conv/Conv.../blocks/blocks.3/add/Add]}",
        "{ForeignNode[Conv_0...Gemm_120]}",
        "{ForeignNode[/classifier/Gemm...output]}",
    ],
)
def test_a_region_of_several_modules_is_refused_by_name(region):
    """Its time cannot be split."""
    with pytest.raises(InputError, match="several modules at once") as caught:
        make_operator_profile(layers(FIRST, region))
    assert region in caught.value.message
    assert "whole networks" in (caught.value.hint or "")


def test_a_layer_that_tells_nothing_needs_the_layer_info():
    """Names like these say nothing; the ONNX nodes stand in the layer info, and may be of several modules."""
    with pytest.raises(InputError, match="'__myl_Fc_myl0_3' does not show"):
        make_operator_profile(layers("__myl_Fc_myl0_3"))
    info = LayerInfo(name="__myl_Fc_myl0_3", kind="gemm", onnx_names=("/classifier/Gemm", "/classifier/Add"))
    (node,) = make_operator_profile(layers("__myl_Fc_myl0_3"), [info]).nodes
    assert (node.name, node.op) == ("/classifier/Gemm + /classifier/Add", "gemm")
    both = LayerInfo(name="__myl_Fc_myl0_3", onnx_names=(FIRST, SECOND))
    with pytest.raises(InputError, match=r"several modules at once \(blocks.0, blocks.1\)"):
        make_operator_profile(layers("__myl_Fc_myl0_3"), [both])


def test_layer_info_of_another_engine_is_refused():
    """None of its layers is in the profile."""
    with pytest.raises(InputError, match="belongs to another engine"):
        make_operator_profile(layers(FIRST), [LayerInfo(name=SECOND)])


def test_a_profile_that_lacks_layers_is_refused():
    """The real sample is an excerpt; its layers make up less than a tenth of the time."""
    with pytest.raises(InputError, match=r"add up to 66\.7 % of its time: rows are missing"):
        make_operator_profile(layers(FIRST, SECOND)[1:])
    with pytest.raises(InputError, match=r"add up to 9\.1 % of its time: rows are missing"):
        make_operator_profile(read_profile(sample("trtexec_exportProfile_8.x_no_median.json")))


def test_a_real_profile_becomes_operators():
    """One layer, with its median of 27.872 us."""
    profile = make_operator_profile(read_profile(sample("trtexec_exportProfile_8.5plus_median.json")))
    assert profile.nodes[0].name == "/conv1/Conv + /act1/Relu"
    assert profile.times_us == pytest.approx(np.array([[27.872]]))
