"""The formats that `export` knows, the options of an export, and which formats take which of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from natdeploy.core.device import PRECISIONS
from natdeploy.errors import InputError, require_known

SUFFIXES: Mapping[str, str] = MappingProxyType({"onnx": ".onnx", "tflite": ".tflite", "tensorrt": ".engine"})
FORMATS = tuple(SUFFIXES)
# Options that not every format takes; those that are not here go with all of them.
TAKEN_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"batch": ("onnx",), "opset": ("onnx",), "int8_input": ("tflite",), "no_build": ("tensorrt",)}
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """How a subnet is written.

    Args:
        precision: What the file computes in: `fp32`, `fp16` or `int8`.
        calibration: Name or folder of the images that int8 ranges are taken from; the train images of the subnet's
            task where None.
        normalize_inside: Whether the file takes plain pixels, 0 to 255, and normalizes them itself.
        softmax_inside: Whether the file gives probabilities instead of logits.
        batch: Images that one call takes, or `dynamic`.
        opset: ONNX operator set; the format's or the device's own where None.
        int8_input: Whether the file takes int8 values instead of float32.
        device: Name of the device that is to run the file.
        no_build: Whether an engine is only prepared, to be built on the device by a script.

    Raises:
        InputError: A value is not valid, or belongs to another precision.
    """

    precision: str = "fp32"
    calibration: str | None = None
    normalize_inside: bool = False
    softmax_inside: bool = False
    batch: int | Literal["dynamic"] = 1
    opset: int | None = None
    int8_input: bool = False
    device: str = "host"
    no_build: bool = False

    def __post_init__(self) -> None:
        require_known("precision", self.precision, PRECISIONS)
        if not (self.batch >= 1 if isinstance(self.batch, int) else self.batch == "dynamic"):
            msg = f"batch is {self.batch!r}: it must be a number of images, 1 or more, or 'dynamic'"
            raise InputError(msg)
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
        InputError: There is none of this name; the hint names the nearest.
    """
    require_known("format", name, FORMATS)


def require_taken(format_name: str, options: ExportOptions) -> None:
    """Check that a format takes all the options that are given.

    Raises:
        InputError: It does not take one of them; the message says which formats do.
    """
    for name in options.list_given():
        formats = TAKEN_BY.get(name, FORMATS)
        if format_name not in formats:
            takers = f"formats that take it: {', '.join(formats)}"
            msg = f"{format_option(name)} is not an option of format {format_name} ({takers})"
            raise InputError(msg)


def format_option(name: str) -> str:
    """Return an option as the command line calls it."""
    return "--" + name.replace("_", "-")
