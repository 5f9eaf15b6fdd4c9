"""What of a graph a device imports, by the version of its TensorRT."""

import dataclasses
import itertools
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from natdeploy.core.architecture import smallest
from natdeploy.core.layers import walk
from natdeploy.errors import CheckFailedError, InputError
from natdeploy.export.onnx import OnnxExporter
from natdeploy.export.preflight import (
    ImportableExporter,
    find_importer,
    find_problems,
    parser_release,
    require_importable,
)
from natdeploy.export.tensorrt_operators import RELEASES
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import build_network
from natdeploy.testing.networks import tiny_network

NANO, XAVIER, ORIN = (find_device(f"jetson-{name}") for name in ("nano", "xavier-nx", "orin-nano"))


def small_network(space):
    """Return the smallest network of a space, with random weights."""
    return randomize_weights(build_network(walk(space, smallest(space), 10)), 0)


def graph(*nodes, opset=13, weights=()):
    """Return a model of these nodes."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    made = helper.make_graph(list(nodes), "graph", [value], [result], initializer=list(weights))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)])


def said(model, version, device=ORIN):
    """Return what is wrong with a model on a device with a version of TensorRT, in one text."""
    importer = find_importer(device, version=version)
    return "; ".join(f"{problem.what} -> {problem.way_out}" for problem in find_problems(model, importer))


def quantizing(zero_point):
    """Return a model that quantizes with a zero point."""
    scale = numpy_helper.from_array(np.float32(0.5), "scale")
    point = numpy_helper.from_array(np.array(zero_point, np.int8), "point")
    node = helper.make_node("QuantizeLinear", ["x", "scale", "point"], ["y"], name="quantize")
    return graph(node, weights=[scale, point])


@pytest.mark.parametrize(
    ("operator", "first"),
    [
        ("HardSigmoid", "8.0"),
        ("GlobalAveragePool", "8.0"),
        ("Softplus", "8.0"),
        ("Einsum", "8.2"),
        ("Xor", "8.4"),
        ("GridSample", "8.5"),
        ("HardSwish", "8.6"),
        ("LayerNormalization", "8.6"),
        ("Mish", "10.0"),
        ("Gelu", "10.0"),
    ],
)
def test_an_operator_is_imported_from_its_release_on(operator, first):
    """Before the first release that has an importer, the node is named with the version, the operator and a way out."""
    model = graph(helper.make_node(operator, ["x"], ["y"], name="it"))
    for version in ("8.0.1", "8.2.1", "8.4.1", "8.5.2", "8.6.1", "10.3"):
        expected = parser_release(version).first >= parser_release(first).first
        assert (said(model, version) == "") == expected, version
    if first != "8.0":
        with pytest.raises(CheckFailedError, match=rf"TensorRT 8\.0\.1 of .*node it \({operator}\) has no") as caught:
            require_importable(model, find_importer(ORIN, version="8.0.1"))
        assert caught.value.hint


def test_releases_only_gain_operators():
    """What a release imports, later ones import too, and versions between belong to the one before."""
    for before, after in itertools.pairwise(RELEASES):
        assert before.operators < after.operators
        assert before.max_opset <= after.max_opset
    assert parser_release("8.3") == parser_release("8.2.1")
    assert parser_release("9.1") == parser_release("8.6")
    assert parser_release("11.4.0.106") == parser_release("10")
    with pytest.raises(InputError, match=r"TensorRT 7\.2 is not supported: it is older than 8\.0"):
        parser_release("7.2")


@pytest.mark.parametrize(("version", "highest"), [("8.0.1", 13), ("8.2.1", 13), ("8.5.2", 17), ("10.3", 20)])
def test_the_opset_must_not_be_above_the_parsers(version, highest):
    """The highest opset passes, the next one is named with the highest."""
    relu = helper.make_node("Relu", ["x"], ["y"])
    assert said(graph(relu, opset=highest), version) == ""
    assert f"it has opset {highest + 1}; the highest that can be imported is {highest}" in said(
        graph(relu, opset=highest + 1), version
    )


def test_axes_of_reductions_are_no_input_before_10():
    """From opset 18 on axes are an input; 10 takes it where it is constant."""
    axes = numpy_helper.from_array(np.array([2, 3]), "axes")
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], name="mean")
    assert "node mean (ReduceMean) takes its axes as an input -> export with --opset 17" in said(
        graph(node, opset=17, weights=[axes]), "8.6"
    )
    assert said(graph(node, opset=18, weights=[axes]), "10.3") == ""
    assert "computes its axes" in said(graph(node, opset=18), "10.3")


def test_zero_points_are_zero():
    """A zero point other than 0, or one that is computed, is refused by every version."""
    for version in ("8.0.1", "10.3"):
        assert said(quantizing(0), version) == ""
        assert "node quantize (QuantizeLinear) has a zero point other than 0 -> quantize sym" in said(
            quantizing(3), version
        )


def test_external_data_is_refused():
    """Weights in another file would not travel with the model."""
    weight = TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    model = graph(helper.make_node("Add", ["x", "weight"], ["y"]), weights=[weight])
    assert "weight weight is stored in another file" in said(model, "8.2.1")


def test_operators_of_other_domains_are_refused():
    """Other runtimes' own operators are not imported."""
    model = graph(helper.make_node("FusedConv", ["x"], ["y"], domain="com.microsoft"))
    assert "node y (FusedConv) is of domain com.microsoft" in said(model, "10.3")


def test_many_problems_are_counted():
    """The first three are shown, the others counted."""
    model = graph(*(helper.make_node("Mish", ["x"], ["y"], name=f"mish{number}") for number in range(5)))
    with pytest.raises(CheckFailedError, match=r"mish0.*mish1.*mish2.*; and 2 more") as caught:
        require_importable(model, find_importer(NANO))
    assert "mish3" not in caught.value.message
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("device", "opset"),
    [("jetson-nano", 13), ("jetson-xavier-nx", 13), ("jetson-orin-nano", 17), ("server-gpu", 17), ("host", 17)],
)
def test_the_opset_of_a_device_avoids_what_it_lacks(device, opset):
    """Where HardSwish is missing, the opset is one that has none, and the exported file passes."""
    importer = find_importer(find_device(device))
    assert importer.opset == opset
    assert importer.limited == (device != "host")


@pytest.mark.parametrize("space", ["starter", "ofa-mbv3-w1.0"])
def test_files_for_a_nano_are_made_of_what_it_imports(space, tmp_path):
    """Opset 13 is written and read back, HardSwish is HardSigmoid and Mul, and the IR version is one of its time."""
    network = tiny_network() if space == "starter" else small_network(find_space(space))
    exporter = ImportableExporter(OnnxExporter(find_importer(NANO).opset), find_importer(NANO))
    written = exporter.write(network, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    operators = {node.op_type for node in model.graph.node}
    assert [item.version for item in model.opset_import] == [13]
    assert written["opset"] == 13
    assert written["target"] == {"importer": "TensorRT 8.2.1 of jetson-nano"}
    assert model.ir_version == written["ir_version"] <= 8
    assert {"HardSigmoid", "Mul"} <= operators
    assert not operators & {"HardSwish", "ReduceMean"}
    for version in ("8.0.1", "8.4.1", "8.5.2", "8.6.1", "10.3"):
        require_importable(model, find_importer(ORIN, version=version))


def test_an_opset_that_the_device_lacks_is_refused(tmp_path):
    """The usual opset on a Nano: the error names device, opset and operator, and tells which opset does."""
    exporter = ImportableExporter(OnnxExporter(17), find_importer(NANO))
    with pytest.raises(CheckFailedError, match=r"TensorRT 8\.2\.1 of jetson-nano .*opset 17.*HardSwish") as caught:
        exporter.write(tiny_network(), tmp_path / "net.onnx")
    assert caught.value.hint == "omit --opset, or use --opset 13"


def test_the_limits_of_a_description_hold_for_every_runtime():
    """Highest opset and missing operators of devices.toml count beside, or without, a version of TensorRT."""
    board = dataclasses.replace(find_device("server-cpu"), max_opset=15, missing_operators=("Conv",))
    model = graph(helper.make_node("Conv", ["x", "w"], ["y"], name="conv"), opset=16)
    with pytest.raises(
        CheckFailedError, match=r"onnxruntime of server-cpu .*opset 16; the highest .* is 15; .*\(Conv\) has no"
    ):
        require_importable(model, find_importer(board))
    assert find_importer(board).opset == 15
    orin = dataclasses.replace(ORIN, missing_operators=("HardSwish",))
    assert find_importer(orin).opset == 13


def test_a_board_that_was_upgraded_is_not_held_to_the_old_limits():
    """A newer version than the description's has its own list; an older one keeps the description's limits too."""
    assert find_importer(XAVIER, version="8.6.1").opset == 17
    assert find_importer(XAVIER, version="8.4.1").max_opset == 17
    assert re.search("HardSwish", str(find_importer(XAVIER, version="8.4.1").missing))
