"""TensorRT's Python package, played by stand-ins with the interfaces of four versions."""

import sys
from collections.abc import Iterator

import pytest

from natdeploy.errors import InputError, MissingRuntimeError, NoOutputsError, OutputError
from natdeploy.export.onnx import OnnxExporter
from natdeploy.runtimes.tensorrt import TensorrtRuntime
from natdeploy.runtimes.tensorrt_builder import TensorrtBuilder
from natdeploy.testing.networks import tiny_network
from natdeploy.testing.runtimes import RuntimeContract
from tests.support.tensorrt_stand_in import VERSIONS, FakeMemory, make_package


class EngineWriter(OnnxExporter):
    """Writes an engine."""

    suffix = ".engine"

    def write(self, network, target):
        """Write an ONNX file beside the engine and build the engine of it."""
        onnx = target.with_suffix(".onnx")
        written = super().write(network, onnx)
        TensorrtBuilder(precision="fp32", workspace_mib=64).build(onnx, target)
        return written


@pytest.fixture
def onnx(tmp_path):
    """A file for versions up to 8.2."""
    OnnxExporter(13).write(tiny_network(), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture(params=VERSIONS)
def package(request, monkeypatch):
    """The package of each version."""
    made = make_package(request.param)
    monkeypatch.setitem(sys.modules, "tensorrt", made)
    return made


def build(onnx, precision="fp32", workspace_mib=64):
    """Build an engine beside a file; return it and the log."""
    engine = onnx.with_suffix(".engine")
    return engine, TensorrtBuilder(precision=precision, workspace_mib=workspace_mib).build(onnx, engine)


class Contract(RuntimeContract):
    """What every runtime must do."""

    version = ""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def installed(cls) -> Iterator[None]:
        """Install the stand-in."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "tensorrt", make_package(cls.version))
            yield

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls, installed: None) -> TensorrtRuntime:
        """The runtime."""
        return TensorrtRuntime(FakeMemory)

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls, installed: None) -> EngineWriter:
        """What writes engines."""
        return EngineWriter(13)


class TestOf82(Contract):
    """Bindings by number, one workspace size."""

    version = VERSIONS[0]


class TestOf86(Contract):
    """Tensors by name beside what is older."""

    version = VERSIONS[1]


class TestOf10(Contract):
    """Tensors by name alone."""

    version = VERSIONS[2]


class TestOf11(Contract):
    """No precisions, no flag for batches."""

    version = VERSIONS[3]


def test_engines_are_plain(onnx, package):
    """The engine is what TensorRT gave and nothing else, and the log is what it said."""
    engine, log = build(onnx)
    assert engine.read_bytes() == onnx.read_bytes()
    assert log == "[TRT] [I] built\n"


def test_the_workspace_is_limited_in_every_version(onnx, package):
    """By the pool where there are pools, by the one size before."""
    build(onnx, workspace_mib=500)
    assert package.built[0]["workspace"] == 500 << 20


def test_batches_are_explicit_as_the_version_has_it(onnx, package):
    """The flag is given where the package has it, and not asked for where it is gone."""
    build(onnx)
    assert package.built[0]["network_flags"] == int(not package.__version__.startswith("11."))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_precision_is_set_where_the_package_has_it(onnx, package, precision):
    """From 11 on there is none to set: the builder says that the file itself has to be of it. fp32 is without TF32."""
    typed = package.__version__.startswith("11.")
    builder = TensorrtBuilder(precision=precision, workspace_mib=64)
    assert builder.sets_precision == (precision == "fp32" or not typed)
    build(onnx, precision)
    if precision == "fp32" or typed:
        assert package.built[0]["flags"] == set()
    else:
        assert package.built[0]["flags"] == {"TF32", precision.upper()}


def test_an_unknown_precision_is_refused():
    """Only precisions that natdeploy knows are passed on."""
    with pytest.raises(InputError, match="unknown precision 'best'"):
        TensorrtBuilder(precision="best", workspace_mib=64)


def test_an_operator_without_importer_is_named(tmp_path, monkeypatch):
    """What the parser says is in the error, with what to do."""
    monkeypatch.setitem(sys.modules, "tensorrt", make_package(VERSIONS[0]))
    OnnxExporter(17).write(tiny_network(), tmp_path / "net.onnx")
    with pytest.raises(
        InputError, match=r"TensorRT 8\.2\.1\.8 cannot import net\.onnx: .*no operator HardSwish"
    ) as caught:
        build(tmp_path / "net.onnx")
    assert "lower opset" in (caught.value.hint or "")
    assert not (tmp_path / "net.engine").exists()


def test_a_build_that_fails_tells_the_reason(tmp_path, package):
    """Out of memory: the reason is told, with what to do, and no engine is left."""
    (tmp_path / "net.onnx").write_bytes(b"out of memory")
    with pytest.raises(InputError, match=r"built no engine from net\.onnx: the device ran out of memory") as caught:
        build(tmp_path / "net.onnx")
    assert "smaller workspace" in (caught.value.hint or "")
    assert not (tmp_path / "net.engine").exists()


def test_an_engine_that_cannot_be_written_is_an_output_error(onnx, package, tmp_path):
    """A target in something that is no folder is named."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/net\.engine"):
        TensorrtBuilder(precision="fp32", workspace_mib=64).build(onnx, tmp_path / "file" / "net.engine")


def test_an_engine_of_another_version_says_so(onnx, package):
    """What TensorRT says of a file that is not its own is one error, with what to do."""
    onnx.with_suffix(".engine").write_bytes(b"of another version")
    match = r"net\.engine: .*not an engine for this TensorRT: it is from another"
    with pytest.raises(InputError, match=match) as caught:
        TensorrtRuntime(FakeMemory).open(onnx.with_suffix(".engine"), threads=1)
    assert "on the device itself" in (caught.value.hint or "")


def test_without_a_gpu_nothing_is_built(onnx, package, monkeypatch):
    """Where the library returns no builder, the error says what is missing."""

    def refuse(_):
        message = "pybind11::init(): factory function returned nullptr"
        raise TypeError(message)

    monkeypatch.setattr(package, "Builder", refuse)
    with pytest.raises(MissingRuntimeError, match="TensorRT cannot build engines on this machine") as caught:
        build(onnx)
    assert "NVIDIA GPU" in (caught.value.hint or "")


def test_without_memory_of_a_gpu_no_outputs_are_given(onnx, package, monkeypatch):
    """A torch without CUDA builds engines, and says that it cannot run them."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    engine, _ = build(onnx)
    with pytest.raises(NoOutputsError, match="torch finds no NVIDIA GPU"):
        TensorrtRuntime().open(engine, threads=1)


def test_a_package_that_is_not_there_or_does_not_load_is_told(monkeypatch):
    """The install command is given; libraries that do not load are told with their reason."""
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingRuntimeError, match="the package tensorrt is not installed") as caught:
        TensorrtRuntime().version()
    assert "pip install tensorrt" in (caught.value.hint or "")

    def broken(name):
        message = "libnvinfer.so.10: cannot open shared object file"
        raise OSError(message)

    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(MissingRuntimeError, match=r"cannot be loaded: libnvinfer\.so\.10"):
        TensorrtRuntime().version()


def test_an_engine_that_is_not_run_is_an_error(onnx, package):
    """A launch that TensorRT refuses is told, and gives no outputs."""
    engine, _ = build(onnx)
    session = TensorrtRuntime(FakeMemory).open(engine, threads=1)
    session._launch = lambda: False
    import numpy as np

    with pytest.raises(InputError, match=r"net\.engine: TensorRT failed to run the engine"):
        session.run(np.zeros((1, 3, 32, 32), np.float32))
