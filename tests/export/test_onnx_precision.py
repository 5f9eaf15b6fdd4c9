"""ONNX files of fp16 and int8, of several images a call, and with more inside."""

import os
import sys
import tempfile
from collections import Counter

import numpy as np
import onnx
import pytest

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.export.onnx import OnnxExporter
from natdeploy.export.parity import LIMITS, check_parity
from natdeploy.export.pre_post_processing import add_pre_post_processing
from natdeploy.export.quantization_calibration import QuantizationCalibration
from natdeploy.runtimes.onnx_runtime import OnnxRuntime
from natdeploy.testing.exporters import capture_stdout
from natdeploy.testing.networks import noise_images, tiny_network


def calibration(network, count=16):
    """Return noise to calibrate with."""
    return QuantizationCalibration(images=noise_images(network, count, seed=1), source="noise")


def parity(network, path, precision):
    """Return how a file compares with the network, on noise."""
    session = OnnxRuntime().open(path, threads=1)
    return check_parity(network, session, noise_images(network, 8), limits=LIMITS[precision])


def types_of(model):
    """Return how many weights there are of each type."""
    return Counter(onnx.TensorProto.DataType.Name(item.data_type) for item in model.graph.initializer)


@pytest.fixture(scope="module")
def network():
    """A network that has every operator of the family."""
    return tiny_network()


@pytest.fixture(scope="module")
def int8(network, tmp_path_factory):
    """An int8 file for x86: its path, what the exporter said, and what reached stdout."""
    path = tmp_path_factory.mktemp("int8") / "network.onnx"
    exporter = OnnxExporter(precision="int8", calibration=calibration(network))
    described, stdout = capture_stdout(lambda: exporter.write(network, path))
    return path, described, stdout


def test_fp16_computes_the_same_between_float32_ends(network, tmp_path):
    """Weights are fp16, input and output stay float32, and the outputs are those of the network."""
    path = tmp_path / "network.onnx"
    described = OnnxExporter(precision="fp16").write(network, path)
    model = onnx.load(path)
    assert parity(network, path, "fp16").passed
    assert set(types_of(model)) == {"FLOAT16"}
    assert described["precision"] == "fp16"
    assert [value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)] == [1, 1]
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 17)]


def test_int8_computes_nearly_the_same(network, int8):
    """The int8 file passes the check of int8 and is smaller than half of the float one."""
    found = parity(network, int8[0], "int8")
    assert found.passed, found


def test_int8_weights_are_quantized_by_channel(int8):
    """Every convolution has int8 weights with a scale for each of its channels, and unsigned activations."""
    model = onnx.load(int8[0])
    stored = {item.name: item for item in model.graph.initializer}
    given_by = {name: node for node in model.graph.node for name in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        weight = given_by[node.input[1]]
        assert weight.op_type == "DequantizeLinear"
        assert stored[weight.input[0]].data_type == onnx.TensorProto.INT8
        assert stored[weight.input[1]].dims == [stored[weight.input[0]].dims[0]]
        activation = given_by[node.input[0]]
        assert stored[activation.input[2]].data_type == onnx.TensorProto.UINT8


def test_onnx_runtime_computes_in_int8_throughout(int8, tmp_path):
    """ONNX Runtime runs every operator between the first and the last conversion with an int8 kernel."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(int8[0], options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert kinds.pop("QuantizeLinear") == kinds.pop("DequantizeLinear") == 1
    for moved in ("Transpose", "Flatten"):
        kinds.pop(moved, None)
    assert kinds
    assert all(kind.startswith(("QLinear", "QGemm")) for kind in kinds), kinds


def test_int8_for_tensorrt_is_symmetric(network, tmp_path):
    """For TensorRT all zero points are 0, only layers and additions beside them take quantized values, biases none."""
    path = tmp_path / "network.onnx"
    OnnxExporter(13, precision="int8", calibration=calibration(network), symmetric=True).write(network, path)
    model = onnx.load(path)
    stored = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert pairs
    assert all(not stored[node.input[2]].any() for node in pairs)
    given = {name for node in pairs if node.op_type == "DequantizeLinear" for name in node.output}
    takers = {node.op_type for node in model.graph.node if given & set(node.input)}
    assert takers - {"Add"} == {"Conv", "Gemm"}
    assert "INT32" not in types_of(model)
    assert parity(network, path, "int8").passed


def test_int8_leaves_nothing_behind(network, int8, tmp_path, monkeypatch):
    """Nothing reaches stdout, no temporary file stays, and the process is as it was."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before, path = dict(os.environ), list(sys.path)
    OnnxExporter(precision="int8", calibration=calibration(network, 2)).write(network, int8[0].parent / "again.onnx")
    assert list(tmp_path.iterdir()) == []
    assert int8[2] == b""
    assert {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"} == {
        key: value for key, value in before.items() if key != "PYTEST_CURRENT_TEST"
    }
    assert sys.path == path


def test_int8_is_described(network, int8):
    """Precision and calibration are told, and the opset is still the one asked for."""
    described = int8[1]
    assert described["precision"] == "int8"
    assert described["calibration"] == calibration(network).to_json()
    assert described["opset"] == 17
    assert [(item.domain, item.version) for item in onnx.load(int8[0]).opset_import] == [("", 17)]
    assert {item.key: item.value for item in onnx.load(int8[0]).metadata_props}["natdeploy.precision"] == "int8"


def test_int8_without_images_is_refused(network, tmp_path):
    """int8 is not calibrated on nothing."""
    with pytest.raises(InputError, match="needs images to calibrate with"):
        OnnxExporter(precision="int8").write(network, tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_missing_runtime_is_named(network, tmp_path, monkeypatch, precision):
    """Without ONNX Runtime, whose converters are used, the error tells how to install it."""
    for name in ("onnxruntime.transformers.float16", "onnxruntime.quantization"):
        monkeypatch.setitem(sys.modules, name, None)
    exporter = OnnxExporter(precision=precision, calibration=calibration(network, 2))
    with pytest.raises(MissingRuntimeError, match="ONNX Runtime is not installed"):
        exporter.write(network, tmp_path / "network.onnx")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("batch", [3, None])
def test_several_images_go_in_at_once(network, tmp_path, batch, precision):
    """A file of a larger or an open batch says so, takes that many images, and computes the same."""
    import onnxruntime

    path = tmp_path / "network.onnx"
    exporter = OnnxExporter(batch=batch, precision=precision, calibration=calibration(network, 4))
    described = exporter.write(network, path)
    assert {described[end]["shape"][0] for end in ("input", "output")} == {batch or "dynamic"}
    assert parity(network, path, precision).passed
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[0] == (batch or "batch")
    assert session.run(None, {"image": noise_images(network, 3)})[0].shape == (3, network.classes)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_pixels_in_and_probabilities_out(network, tmp_path, precision):
    """With normalization and softmax inside, pixels give probabilities, in every precision."""
    inside = add_pre_post_processing(network, mean_std=((0.5,) * 3, (0.25,) * 3), softmax=True)
    pixels = np.clip((noise_images(network, 8) * 0.25 + 0.5) * 255, 0, 255)
    path = tmp_path / "network.onnx"
    exporter = OnnxExporter(precision=precision, calibration=QuantizationCalibration(images=pixels, source="pixels"))
    described = exporter.write(inside, path)
    session = OnnxRuntime().open(path, threads=1)
    found = check_parity(inside, session, pixels, limits=LIMITS[precision])
    assert found.passed, found
    np.testing.assert_allclose(session.run(pixels).sum(axis=1), 1, atol=0.02)
    assert described["output"]["name"] == "probabilities"
