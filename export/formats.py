"""The formats that can be written here: their exporters, and the runtimes that check their files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from natdeploy.export.options import ExportOptions, require_format
from natdeploy.export.quantization_calibration import QuantizationCalibration
from natdeploy.ports import Exporter, Runtime


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """How a format is written and run.

    Args:
        exporter: Writes files for users.
        timing_exporter: Writes files that are only timed. They have the same operators and take less time to write.
        runtime: Runs the files, to check them.
    """

    exporter: Exporter
    timing_exporter: Exporter
    runtime: Runtime


def list_formats() -> Mapping[str, Format]:
    """Return the formats that can be written here, by name."""
    from natdeploy.export.onnx import OnnxExporter
    from natdeploy.export.tflite import TfliteExporter
    from natdeploy.export.tflite_direct import TfliteDirectExporter
    from natdeploy.runtimes.litert import LitertRuntime
    from natdeploy.runtimes.onnx_runtime import OnnxRuntime

    onnx = Format(exporter=OnnxExporter(), timing_exporter=OnnxExporter(), runtime=OnnxRuntime())
    tflite = Format(exporter=TfliteExporter(), timing_exporter=TfliteDirectExporter(), runtime=LitertRuntime())
    return MappingProxyType({"onnx": onnx, "tflite": tflite})


def find_format(name: str) -> Format:
    """Return the format called `name`.

    TensorRT engines are not listed: only the TensorRT that built an engine can run it.

    Raises:
        InputError: There is none; the hint names the nearest.
    """
    require_format(name)
    return list_formats()[name]


def make_exporter(
    name: str, options: ExportOptions, calibration: QuantizationCalibration | None = None, *, symmetric: bool = False
) -> Exporter:
    """Return the exporter that writes files of a format with these options.

    Args:
        name: Name of the format.
        options: Options that the format takes.
        calibration: Images from which int8 ranges are computed.
        symmetric: Whether int8 ONNX files are quantized symmetrically, as TensorRT requires.

    Raises:
        InputError: The format cannot be written with these options.
    """
    from natdeploy.export.onnx import DEFAULT_OPSET, OnnxExporter
    from natdeploy.export.tflite import TfliteExporter

    if name == "onnx":
        return OnnxExporter(
            DEFAULT_OPSET if options.opset is None else options.opset,
            batch=options.batch if isinstance(options.batch, int) else None,
            precision=options.precision,
            calibration=calibration,
            symmetric=symmetric,
        )
    return TfliteExporter(precision=options.precision, calibration=calibration, int8_input=options.int8_input)


def fp32_exporter(name: str, options: ExportOptions) -> Exporter:
    """Return the exporter of the fp32 files whose latency is compared with that of `options`."""
    if name == "onnx":
        plain = dataclasses.replace(options, precision="fp32", calibration=None, int8_input=False)
        return make_exporter(name, plain)
    return find_format(name).timing_exporter
