"""Exports from end to end: what is left when all goes well, and what when something does not."""

import copy
import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
import torch

from natdeploy.errors import CheckFailedError, InputError, MissingRuntimeError, OutputError
from natdeploy.export.manifest import Description
from natdeploy.export.onnx import OnnxExporter
from natdeploy.export.pipeline import export_network
from natdeploy.runtimes.onnx_runtime import OnnxRuntime
from natdeploy.testing.networks import noise_images, tiny_network


class TamperingExporter(OnnxExporter):
    """Writes another network than the one that it is given."""

    def write(self, network, output_path):
        """Write the network with one weight changed."""
        other = copy.deepcopy(network)
        with torch.no_grad():
            other.classifier.weight[0, 0] += 1.0
        return super().write(other, output_path)


class GarbageExporter(OnnxExporter):
    """Writes something that no runtime opens."""

    def write(self, network, output_path):
        """Write a network, then damage the file."""
        described = super().write(network, output_path)
        output_path.write_bytes(b"damaged")
        return described


class MissingRuntime(OnnxRuntime):
    """A runtime that is not installed."""

    def version(self):
        """Fail."""
        message = "not installed"
        raise MissingRuntimeError(message)


def export(folder, network=None, **changes):
    """Export a tiny network to `folder/net.onnx`."""
    network = network or tiny_network()
    arguments = {
        "exporter": OnnxExporter(),
        "runtime": OnnxRuntime(),
        "output_path": folder / "net.onnx",
        "images": noise_images(network, 4),
        "description": Description(subnet="subnet.json"),
        "latency": lambda _: None,
    }
    return export_network(network, **{**arguments, **changes})


def contents(folder):
    """Return the files of a folder with their contents."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_export_leaves_file_and_manifest(tmp_path):
    """File and manifest are there, nothing else, and the result tells of them what is true."""
    ticks = iter((10.0, 12.5))
    result = export(
        tmp_path, latency=lambda _: {"median_ms": 0.5, "fingerprint": "m"}, clock_seconds=lambda: next(ticks)
    )
    manifest = json.loads(result.manifest.read_text())
    assert set(contents(tmp_path)) == {"net.onnx", "net.manifest.json"}
    assert result.artifact == tmp_path / "net.onnx"
    assert manifest["sha256"] == hashlib.sha256(result.artifact.read_bytes()).hexdigest()
    assert manifest["size_bytes"] == result.size_bytes == result.artifact.stat().st_size
    assert manifest["parity"] == {"checked_on": "noise", **result.parity.to_json()}
    assert manifest["tools"].keys() >= {"natdeploy", "torch", "onnx", "onnxruntime"}
    assert (result.format, result.latency_ms, result.seconds) == ("onnx", 0.5, 2.5)
    assert result.parity.passed


def test_latency_is_measured_on_the_checked_file_before_it_gets_its_name(tmp_path):
    """The measurement sees a whole file of the right suffix, while the final name does not exist yet."""
    seen = []

    def latency(path: Path):
        OnnxRuntime().open(path, threads=1)
        seen.append((path.suffix, (tmp_path / "net.onnx").exists()))

    assert export(tmp_path, latency=latency).latency_ms is None
    assert seen == [(".onnx", False)]


def test_folder_is_created(tmp_path):
    """A folder that is not there yet is made."""
    assert export(tmp_path / "new" / "folder").artifact.is_file()


@pytest.mark.parametrize(
    ("exporter", "reason"),
    [(TamperingExporter(), "of the largest logit"), (GarbageExporter(), "onnxruntime cannot run it")],
)
def test_file_that_computes_something_else_is_rejected(tmp_path, exporter, reason):
    """A file of tampered weights, or a damaged one, is kept as rejected only, and is a failed check."""
    with pytest.raises(CheckFailedError, match=reason) as caught:
        export(tmp_path, exporter=exporter)
    assert caught.value.exit_code == 1
    assert str(tmp_path / "net.onnx") in caught.value.message
    assert "net.onnx.rejected" in caught.value.hint
    assert set(contents(tmp_path)) == {"net.onnx.rejected"}


def test_rejection_tells_the_figures(tmp_path):
    """The error tells how far the file is off."""
    with pytest.raises(CheckFailedError, match=r"max error \S+ .*cosine \S+ top-1 agreement \S+ on 4 inputs"):
        export(tmp_path, exporter=TamperingExporter())


def test_earlier_file_survives_a_failing_export(tmp_path):
    """A good file and its manifest stay byte for byte when a later export fails."""
    export(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(CheckFailedError):
        export(tmp_path, exporter=TamperingExporter())
    after = contents(tmp_path)
    assert after.pop("net.onnx.rejected")
    assert after == before


def test_success_clears_an_earlier_rejection(tmp_path):
    """Once a good file is there, the rejected one of an earlier export is gone."""
    with pytest.raises(CheckFailedError):
        export(tmp_path, exporter=TamperingExporter())
    export(tmp_path)
    assert set(contents(tmp_path)) == {"net.onnx", "net.manifest.json"}


def test_network_of_constant_output_fails(tmp_path):
    """A network whose output ignores the image cannot be checked, and is not passed off as checked."""
    network = tiny_network()
    torch.nn.init.zeros_(network.classifier.weight)
    torch.nn.init.ones_(network.classifier.bias)
    with pytest.raises(CheckFailedError, match="do not vary between the inputs"):
        export(tmp_path, network)
    assert contents(tmp_path) == {}


def test_network_of_broken_weights_fails(tmp_path):
    """NaN among the weights fails the check before a converter, which they may break, sees them."""
    network = tiny_network()
    with torch.no_grad():
        network.classifier.weight[0, 0] = torch.nan
    with pytest.raises(CheckFailedError, match="some outputs of the network are not finite"):
        export(tmp_path, network, exporter=None)
    assert contents(tmp_path) == {}


def full_disk(*_, **__):
    """Fail as a write to a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("method", ["touch", "write_bytes", "write_text", "replace"])
def test_full_disk_leaves_nothing(tmp_path, monkeypatch, method):
    """A disk that fills up at any step is named, leaves nothing behind and no earlier file changed."""
    export(tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(Path, method, full_disk)
    with pytest.raises(OutputError, match=r"cannot write .*net.*: No space left on device") as caught:
        export(tmp_path)
    assert caught.value.exit_code == 2
    assert contents(tmp_path) == before


def test_unwritable_folder_is_refused_before_any_work(tmp_path):
    """A folder that cannot be made is refused by name, without an export."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        export(tmp_path / "file", exporter=None)


def test_folder_in_place_of_the_file_is_refused(tmp_path):
    """A target that is a folder is refused by name."""
    with pytest.raises(OutputError, match="it is a folder"):
        export(tmp_path, output_path=tmp_path)
    assert contents(tmp_path) == {}


def test_interruption_leaves_nothing(tmp_path):
    """Ctrl-C in the middle leaves no file, not even a temporary one."""

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(tmp_path, latency=interrupt)
    assert contents(tmp_path) == {}


def test_bad_input_is_refused_before_any_work(tmp_path):
    """A single image, no threads and a runtime that is missing are found out before anything is written."""
    with pytest.raises(InputError, match="at least 2 images"):
        export(tmp_path, images=noise_images(tiny_network(), 1))
    with pytest.raises(InputError, match="threads is 0"):
        export(tmp_path, threads=0)
    with pytest.raises(MissingRuntimeError):
        export(tmp_path, runtime=MissingRuntime())
    assert contents(tmp_path) == {}
