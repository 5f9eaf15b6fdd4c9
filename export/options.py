"""The formats that `export` knows, the options of an export, and the formats that take each option."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from natdeploy.core.checked import check_fields
from natdeploy.core.device import PRECISIONS
from natdeploy.core.ranges import Positive
from natdeploy.errors import InputError, require_known

SUFFIXES: Mapping[str, str] = MappingProxyType({"onnx": ".onnx", "tflite": ".tflite", "tensorrt": ".engine"})
FORMATS = tuple(SUFFIXES)
# Options that only some formats take. Every format takes the others.
TAKEN_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"batch": ("onnx",), "opset": ("onnx",), "int8_input": ("tflite",), "no_build": ("tensorrt",)}
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """How a subnet is written.

    Args:
        precision: Precision in which the file computes: `fp32`, `fp16` or `int8`.
        calibration: Name or folder of the images from which int8 ranges are computed. None: train images of the
            subnet's task.
        normalize_inside: Whether the file takes pixels between 0 and 255 and normalizes them itself.
        softmax_inside: Whether the file returns probabilities instead of logits.
        batch: Images per call, or `dynamic`.
        opset: ONNX operator set. None: the default of the format or the device.
        int8_input: Whether the file takes int8 values instead of float32.
        device: Name of the device that will run the file.
        no_build: Whether to write only what the device needs to build an engine, and no engine.

    Raises:
        InputError: A value is not valid, or belongs to another precision.
    """

    precision: str = "fp32"
    calibration: str | None = None
    normalize_inside: bool = False
    softmax_inside: bool = False
    batch: Positive | Literal["dynamic"] = 1
    opset: int | None = None
    int8_input: bool = False
    device: str = "host"
    no_build: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        require_known("precision", self.precision, PRECISIONS)
        for name in ("calibration", "int8_input"):
            if getattr(self, name) and self.precision != "int8":
                msg = f"{format_option(name)} goes with --precision int8, not {self.precision}"
                raise InputError(msg)

    def list_given(self) -> dict[str, object]:
        """Return the options that differ from their defaults, by name."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }


def require_format(name: str) -> None:
    """Check the name of a format.

    Raises:
        InputError: No format has this name. The hint suggests the closest one.
    """
    require_known("format", name, FORMATS)


def require_taken(format_name: str, options: ExportOptions) -> None:
    """Check that a format takes every option that differs from its default.

    Raises:
        InputError: It does not take one of them. The message lists the formats that do.
    """
    for name in options.list_given():
        formats = TAKEN_BY.get(name, FORMATS)
        if format_name not in formats:
            takers = f"formats that take it: {', '.join(formats)}"
            msg = f"{format_option(name)} is not an option of format {format_name} ({takers})"
            raise InputError(msg)


def format_option(name: str) -> str:
    """Return the name of an option on the command line."""
    return "--" + name.replace("_", "-")
