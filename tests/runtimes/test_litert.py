"""LiteRT."""

import sys
import types

import numpy as np
import pytest
import torch

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.export.parity import check_parity
from natdeploy.export.tflite import TfliteExporter
from natdeploy.runtimes.litert import LitertRuntime, LitertSession
from natdeploy.runtimes.quiet import restore_process_state, silence
from natdeploy.testing.networks import noise_images
from natdeploy.testing.runtimes import RuntimeContract


class TestLitertRuntime(RuntimeContract):
    """LiteRT does what every runtime must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls):
        """LiteRT."""
        return LitertRuntime()

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls):
        """The exporter of TFLite files."""
        return TfliteExporter()

    def test_file_with_channels_first_runs_alike(self, runtime, network, tmp_path):
        """A file that another tool wrote with channels first takes the same images."""
        path = tmp_path / "first.tflite"
        with restore_process_state(), silence(stderr=True):
            import litert_torch

            litert_torch.convert(network, (torch.zeros(1, 3, 32, 32),)).export(str(path))
        parity = check_parity(network, runtime.open(path, threads=1), noise_images(network, 2))
        assert parity.passed, parity


def interpreter(name: str, construct) -> types.ModuleType:
    """Return a stand-in for the module of an interpreter."""
    module = types.ModuleType(name)
    module.Interpreter = construct
    return module


def raise_system_error(**_):
    """Fail as tflite-runtime 2.14 does under numpy 2."""
    message = "<built-in method CreateWrapperFromFile> returned a result with an exception set"
    raise SystemError(message)


def test_tflite_runtime_under_numpy_2_is_explained(tmp_path, monkeypatch):
    """The SystemError that tflite-runtime raises under numpy 2 becomes an error that names numpy and the way out."""
    path = tmp_path / "any.tflite"
    path.touch()
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    name = "tflite_runtime.interpreter"
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, name, interpreter(name, raise_system_error))
    with pytest.raises(MissingRuntimeError, match=rf"tflite_runtime.* numpy {np.__version__}") as caught:
        LitertRuntime().open(path, threads=1)
    assert "numpy<2" in caught.value.hint


def test_missing_package_is_named_with_the_command(tmp_path, monkeypatch):
    """Without an interpreter the error tells how to install one."""
    for name in ("ai_edge_litert.interpreter", "tflite_runtime", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingRuntimeError, match="no TFLite interpreter is installed") as caught:
        LitertRuntime().open(tmp_path / "any.tflite", threads=1)
    assert caught.value.hint == 'pip install "natdeploy[tflite]"'
    with pytest.raises(MissingRuntimeError):
        LitertRuntime().version()


def test_quantized_input_is_refused(tmp_path):
    """A file that takes bytes is refused with the types of its tensors."""
    details = [{"dtype": np.int8, "index": 0, "shape": np.array([1, 32, 32, 3])}]
    stand_in = types.SimpleNamespace(get_input_details=lambda: details, get_output_details=lambda: details)
    with pytest.raises(InputError, match=r"bytes\.tflite: .*int8"):
        LitertSession(stand_in, tmp_path / "bytes.tflite")
