"""TensorRT engines, built from an ONNX file on the device that will run them, by its own TensorRT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from natdeploy.supernet.network import Network


class EngineBuilder(Protocol):
    """A TensorRT, here or on a device."""

    @property
    def name(self) -> str:
        """Name of the program or package that builds."""
        ...

    @property
    def sets_precision(self) -> bool:
        """Whether the build sets the precision. If not, the ONNX file must already have it."""
        ...

    def version(self) -> str:
        """Return its version.

        Raises:
            MissingRuntimeError: There is none.
        """
        ...

    def build(self, onnx: Path, output_path: Path) -> str:
        """Build an engine from an ONNX file, write it to `output_path`, and return the log."""
        ...


class EngineExporter:
    """Builds an engine from an ONNX file; implements `natdeploy.ports.Exporter`.

    The file is what TensorRT wrote and nothing else, so that every program that takes engines takes it.

    Args:
        builder: The TensorRT that will run the engine.
        onnx: The ONNX file of the network.
        written: What the ONNX exporter returned for it.
        precision: Lowest precision that layers may use.
        built_for: Device and fingerprint that the engine is built for.
    """

    def __init__(
        self,
        builder: EngineBuilder,
        onnx: Path,
        written: Mapping[str, Any],
        *,
        precision: str,
        built_for: Mapping[str, str],
    ) -> None:
        self._builder = builder
        self._onnx = onnx
        self._written = written
        self._precision = precision
        self._built_for = built_for
        self.log = ""

    @property
    def format(self) -> str:
        """Name that commands use."""
        return "tensorrt"

    @property
    def suffix(self) -> str:
        """Suffix of the file."""
        return ".engine"

    def write(self, network: Network, output_path: Path) -> Mapping[str, Any]:  # noqa: ARG002, it is in the ONNX file
        """Build the engine into `output_path`, keep the log, and return what the manifest says about the file.

        Raises:
            DeviceUnreachableError: The connection to the device was lost, or the build took too long.
            InputError: The build failed; the message says why.
            OutputError: The device, or the place of `output_path`, is full.
        """
        self.log = self._builder.build(self._onnx, output_path)
        versions = {**self._written["versions"], "tensorrt": self._builder.version()}
        return {
            **self._written,
            "versions": versions,
            "precision": self._precision,
            "target": {**self._written.get("target", {}), **self._built_for, "built_by": self._builder.name},
        }
