"""TensorRT engines: built of an ONNX file by the TensorRT that is to run them, on its own device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from natdeploy.supernet.network import Network


class EngineBuilder(Protocol):
    """A TensorRT, here or on a device."""

    @property
    def name(self) -> str:
        """Name of what builds."""
        ...

    @property
    def sets_precision(self) -> bool:
        """Whether the build sets the precision; where not, the ONNX file itself has to be of it."""
        ...

    def version(self) -> str:
        """Return its version.

        Raises:
            MissingRuntimeError: There is none.
        """
        ...

    def build(self, onnx: Path, target: Path) -> str:
        """Build an engine of an ONNX file into the file `target` and return the log."""
        ...


class EngineExporter:
    """Writes the engine of an ONNX file; implements `natdeploy.ports.Exporter`.

    Engines are plain: what TensorRT wrote and nothing else, so that every program that takes engines takes them.

    Args:
        builder: The TensorRT that is to run the engine.
        onnx: The ONNX file, written of the network that the engine is asked of.
        written: What its exporter said of it.
        precision: Lowest precision that layers may use.
        target: What the engine is built for: device and fingerprint.
    """

    def __init__(
        self,
        builder: EngineBuilder,
        onnx: Path,
        written: Mapping[str, Any],
        *,
        precision: str,
        target: Mapping[str, str],
    ) -> None:
        self._builder = builder
        self._onnx = onnx
        self._written = written
        self._precision = precision
        self._target = target
        self.log = ""

    @property
    def format(self) -> str:
        """Name that commands use."""
        return "tensorrt"

    @property
    def suffix(self) -> str:
        """Suffix of the file."""
        return ".engine"

    def write(self, network: Network, target: Path) -> Mapping[str, Any]:  # noqa: ARG002, it is in the ONNX file
        """Build the engine into `target`, keep the log and return what the manifest says of the file.

        Raises:
            DeviceUnreachableError: The connection to the device is lost, or the time is over.
            InputError: The build failed; the message says why.
            OutputError: The device, or the place of `target`, is full.
        """
        self.log = self._builder.build(self._onnx, target)
        versions = {**self._written["versions"], "tensorrt": self._builder.version()}
        return {
            **self._written,
            "versions": versions,
            "precision": self._precision,
            "target": {**self._written.get("target", {}), **self._target, "built_by": self._builder.name},
        }
