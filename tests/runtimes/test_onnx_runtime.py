"""ONNX Runtime."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.export.onnx import OnnxExporter
from natdeploy.runtimes.onnx_runtime import OnnxRuntime, make_session_options
from natdeploy.testing.runtimes import RuntimeContract


class TestOnnxRuntime(RuntimeContract):
    """ONNX Runtime does what every runtime must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls):
        """ONNX Runtime."""
        return OnnxRuntime()

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls):
        """The exporter of ONNX files."""
        return OnnxExporter()


def channel_means(path: Path, shape, *, dtype=onnx.TensorProto.FLOAT, inputs=1) -> Path:
    """Write a model that returns the mean of each channel, or takes more inputs than that."""
    axes = [1, 2] if shape[-1] == 3 else [2, 3]
    node = onnx.helper.make_node("ReduceMean", ["image"], ["means"], axes=axes, keepdims=0)
    taken = [onnx.helper.make_tensor_value_info("image", dtype, shape)]
    taken += [onnx.helper.make_tensor_value_info(f"other{i}", dtype, shape) for i in range(1, inputs)]
    given = onnx.helper.make_tensor_value_info("means", dtype, [shape[0], 3])
    graph = onnx.helper.make_graph([node], "means", taken, [given])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("batch", [1, 4, "n"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_batch_and_layout_of_the_file_do_not_show(tmp_path, batch, channels_last):
    """Six NCHW images give six rows, whatever batch and layout the file was made for."""
    shape = [batch, 32, 32, 3] if channels_last else [batch, 3, 32, 32]
    session = OnnxRuntime().open(channel_means(tmp_path / "means.onnx", shape), threads=1)
    images = np.random.default_rng(0).random((6, 3, 32, 32), dtype=np.float32)
    np.testing.assert_allclose(session.run(images), images.mean(axis=(2, 3)), rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "options", "reason"),
    [
        ([1, 3, "height", "width"], {}, r"must be a batch of square images"),
        ([1, 3, 32, 48], {}, r"must be a batch of square images"),
        ([1, 4, 32, 32], {}, r"must be a batch of square images"),
        ([1, 3, 32], {}, r"must be a batch of square images"),
        ([1, 3, 32, 32], {"inputs": 2}, r"must have one float input and one output"),
        ([1, 3, 32, 32], {"dtype": onnx.TensorProto.DOUBLE}, r"tensor\(double\)"),
    ],
)
def test_model_that_takes_something_else_is_refused(tmp_path, shape, options, reason):
    """A model whose input is not one batch of square float images of fixed size is refused by name."""
    if len(shape) == 3:
        node = onnx.helper.make_node("Relu", ["image"], ["means"])
        values = [onnx.helper.make_tensor_value_info(name, 1, shape) for name in ("image", "means")]
        graph = onnx.helper.make_graph([node], "relu", values[:1], values[1:])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, tmp_path / "other.onnx")
    else:
        channel_means(tmp_path / "other.onnx", shape, **options)
    with pytest.raises(InputError, match=rf"other\.onnx.*{reason}"):
        OnnxRuntime().open(tmp_path / "other.onnx", threads=1)


def test_threads_are_explicit_and_do_not_spin():
    """A session has exactly the threads that were asked for, which sleep when they wait."""
    options = make_session_options(threads=2)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_missing_package_is_named_with_the_command(tmp_path, monkeypatch):
    """Without ONNX Runtime the error tells how to install it."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingRuntimeError, match="ONNX Runtime is not installed") as caught:
        OnnxRuntime().open(tmp_path / "any.onnx", threads=1)
    assert caught.value.hint == "pip install onnxruntime"
    with pytest.raises(MissingRuntimeError):
        OnnxRuntime().version()
