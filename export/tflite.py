"""TFLite files, written by litert-torch."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from natdeploy.errors import MissingRuntimeError
from natdeploy.export.quantization_calibration import QuantizationCalibration, require_quantization_calibration
from natdeploy.export.tflite_precision import to_fp16, to_int8
from natdeploy.export.xnnpack_operators import fit_to_xnnpack
from natdeploy.files import require_writable, writing
from natdeploy.runtimes.litert import open_interpreter
from natdeploy.runtimes.litert_delegation import read_delegation
from natdeploy.runtimes.quiet import restore_process_state, silence
from natdeploy.supernet.network import Network
from natdeploy.temporary import temporary_folder


class TfliteExporter:
    """Writes a network as one TFLite file of fixed batch 1: `1 x r x r x 3` images to `1 x classes` logits.

    The runtime computes with channels last. A file that takes channels first would transpose every image.

    Args:
        precision: Precision in which the file computes: `fp32`, `fp16` or `int8`.
        calibration: Images from which int8 ranges are computed.
        int8_input: Whether an int8 file takes int8 values instead of float32.
    """

    def __init__(
        self, *, precision: str = "fp32", calibration: QuantizationCalibration | None = None, int8_input: bool = False
    ) -> None:
        self._precision = precision
        self._calibration = calibration
        self._int8_input = int8_input

    @property
    def format(self) -> str:
        """Name that commands use."""
        return "tflite"

    @property
    def suffix(self) -> str:
        """Suffix of the file."""
        return ".tflite"

    def write(self, network: Network, output_path: Path) -> Mapping[str, Any]:
        """Write `network` to `output_path` and return what the manifest says about the file.

        The network is not changed. The file holds it in evaluation mode. During the conversion, everything that the
        process writes to stdout and stderr is discarded.

        Raises:
            MissingRuntimeError: The package `litert-torch`, or for int8 and fp16 `ai-edge-quantizer`, is not installed.
            InputError: Calibration images are missing or have another shape.
            OutputError: The file cannot be written.
        """
        calibration = (
            require_quantization_calibration(self._calibration, network) if self._precision == "int8" else None
        )
        require_writable(output_path)  # before a conversion of half a minute, not after it
        with writing(output_path), temporary_folder() as folder:
            plain = folder / "float.tflite"
            _convert(network, plain, int8=self._precision == "int8")
            content, ranges = self._convert_precision(plain, calibration)
            output_path.write_bytes(content)
        return {
            "input": _input(output_path),
            "output": {"name": "output_0", "shape": [1, network.classes], "dtype": "float32"},
            "opset": None,
            "precision": self._precision,
            "calibration": None if calibration is None else {**calibration.to_json(), **ranges},
            "delegation": dataclasses.asdict(read_delegation(output_path)),
            "versions": self._versions(),
        }

    def _convert_precision(
        self, plain: Path, calibration: QuantizationCalibration | None
    ) -> tuple[bytes, dict[str, float]]:
        """Return the content of the file, and what a manifest says about the ranges of its values."""
        if self._precision == "fp16":
            return to_fp16(plain), {}
        if calibration is None:
            return plain.read_bytes(), {}
        quantized = to_int8(plain, calibration.images, int8_input=self._int8_input)
        return quantized.content, {"percentile": quantized.percentile}

    def _versions(self) -> dict[str, str]:
        packages = ["litert-torch"] if self._precision == "fp32" else ["litert-torch", "ai-edge-quantizer"]
        return {"torch": str(torch.__version__), **{name: importlib.metadata.version(name) for name in packages}}


def _convert(network: Network, output_path: Path, *, int8: bool) -> None:
    with _quiet_converter() as package:
        model = package.to_channel_last_io(fit_to_xnnpack(network, int8=int8), args=[0]).eval()
        size = network.input_size
        package.convert(model, (torch.zeros(1, size, size, 3),)).export(str(output_path))


def _input(path: Path) -> dict[str, Any]:
    """Return what a manifest says about the input of a file. An int8 input is `value / scale + zero_point`."""
    details = open_interpreter(path, threads=1).get_input_details()[0]
    dtype = np.dtype(details["dtype"]).name
    described = {"name": "args_0", "shape": details["shape"].tolist(), "layout": "NHWC", "dtype": dtype}
    if dtype != "int8":
        return described
    scale, zero_point = details["quantization"]
    return {**described, "scale": float(scale), "zero_point": int(zero_point)}


@contextlib.contextmanager
def _quiet_converter() -> Iterator[ModuleType]:
    """Yield litert-torch with its progress bars off, and undo what it changes in the process."""
    with restore_process_state(), silence(stderr=True):
        package = _package()
        shown = package.config.show_progress
        package.config.show_progress = False
        try:
            yield package
        finally:
            package.config.show_progress = shown


def _package() -> ModuleType:
    try:
        return importlib.import_module("litert_torch")
    except ImportError as error:
        msg = "the package litert-torch is not installed"
        raise MissingRuntimeError(msg, hint='pip install "natdeploy[tflite]"') from error
