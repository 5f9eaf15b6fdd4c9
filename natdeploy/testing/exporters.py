"""Contract suite for exporters: subclass `ExporterContract` and override its first two fixtures."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from natdeploy.errors import OutputError
from natdeploy.export.parity import check_parity
from natdeploy.ports import Exporter, Runtime
from natdeploy.supernet.network import Network
from natdeploy.testing.networks import noise_images, tiny_network

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """A file that an exporter wrote, and the state before and after.

    Args:
        path: The file.
        described: Description that the exporter returned.
        network: The network after the export. Half of it is in training mode.
        before: State of the network before the export.
        stdout: Bytes written to stdout during the export.
        environment: Environment variables before the export.
    """

    path: Path
    described: Mapping[str, Any]
    network: Network
    before: Mapping[str, Any]
    stdout: bytes
    environment: Mapping[str, str]


class ExporterContract:
    """Tests of an exporter. The runtime of its format opens the files."""

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls) -> Exporter:
        """Return the exporter to test."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls) -> Runtime:
        """Return the runtime that runs the files."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls) -> Network:
        """Return the network to export."""
        return tiny_network()

    @pytest.fixture(scope="class")
    @classmethod
    def written(cls, exporter: Exporter, network: Network, tmp_path_factory: pytest.TempPathFactory) -> Written:
        """Export the network once for all tests."""
        path = tmp_path_factory.mktemp("written") / f"network{exporter.suffix}"
        network.blocks.train()
        before, environment = copy_state(network), dict(os.environ)
        described, stdout = capture_stdout(lambda: exporter.write(network, path))
        return Written(
            path=path, described=described, network=network, before=before, stdout=stdout, environment=environment
        )

    def test_file_computes_what_the_network_computes(self, written: Written, runtime: Runtime) -> None:
        """The file computes the logits that the network computes in evaluation mode."""
        session = runtime.open(written.path, threads=1)
        parity = check_parity(written.network, session, noise_images(written.network, 4))
        assert parity.passed, parity

    def test_file_is_the_only_one(self, written: Written) -> None:
        """The exporter writes one file and nothing else."""
        assert list(written.path.parent.iterdir()) == [written.path]

    def test_network_is_left_as_it_was(self, written: Written) -> None:
        """The export does not change parameters, buffers or the mode of any module."""
        after = copy_state(written.network)
        assert list(after) == list(written.before)
        assert all(np.array_equal(after[name], value) for name, value in written.before.items())

    def test_stdout_stays_empty(self, written: Written) -> None:
        """Nothing is written to stdout, not even by native code."""
        assert written.stdout == b""

    def test_environment_is_left_as_it_was(self, written: Written) -> None:
        """The export does not change environment variables."""
        assert {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"} == {
            key: value for key, value in written.environment.items() if key != "PYTEST_CURRENT_TEST"
        }

    def test_description_fits_a_manifest(self, written: Written) -> None:
        """The description is valid JSON and states input, output and versions."""
        described, size = written.described, written.network.input_size
        assert json.loads(json.dumps(described)) == described
        layouts = {"NCHW": [1, 3, size, size], "NHWC": [1, size, size, 3]}
        assert described["input"]["shape"] == layouts[described["input"]["layout"]]
        assert described["input"]["dtype"] == described["output"]["dtype"] == "float32"
        assert described["output"]["shape"] == [1, written.network.classes]
        assert described["versions"]
        assert all(isinstance(version, str) for version in described["versions"].values())

    def test_unwritable_place_is_an_output_error(self, exporter: Exporter, tmp_path: Path) -> None:
        """A target below a file instead of a folder is refused, and the error names the target."""
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match=rf"network\{exporter.suffix}"):
            exporter.write(tiny_network(), tmp_path / "file" / f"network{exporter.suffix}")


def copy_state(network: Network) -> dict[str, Any]:
    """Return copies of the network's parameters and buffers, and the mode of each module."""
    tensors = {name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()}
    return {**tensors, **{f"{name}.training": module.training for name, module in network.named_modules()}}


def capture_stdout(call: Callable[[], T]) -> tuple[T, bytes]:
    """Return the result of `call` and the bytes that it wrote to the process's stdout."""
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        saved = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            result = call()
            sys.stdout.flush()
        finally:
            os.dup2(saved, 1)
            os.close(saved)
        file.seek(0)
        return result, file.read()
