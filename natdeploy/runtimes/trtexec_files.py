"""Readers for the JSON files of `trtexec`: run times, layer times, layer information and outputs."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import InputError
from natdeploy.runtimes.tool_output import get_json_number, load_json
from natdeploy.runtimes.trtexec import Version

_TIMES = (
    "startEnqMs",
    "endEnqMs",
    "startH2dMs",
    "endH2dMs",
    "startComputeMs",
    "endComputeMs",
    "startD2hMs",
    "endD2hMs",
    "h2dMs",
    "computeMs",
    "d2hMs",
    "latencyMs",
)
_OLD_TIME = "endToEndMs"
_OUTPUT = {"name", "dimensions", "values"}
_DIMENSIONS = re.compile(r"[0-9]{1,9}(?:x[0-9]{1,9})*")
_NOT_A_NUMBER = re.compile(r"(?<=[\s,\[])-?(?:nan|inf)(?=[\s,\]])")
_PROFILE = {"name", "timeMs", "averageMs", "percentage"}
_WITHOUT_WARMUP: Version = (8, 5, 0)
# Times are printed with six digits, so the difference of two of them is off by up to this share of the later one.
_PRINTED = 2e-5
_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]+)\]")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LayerTime:
    """One layer of an engine, as its profile shows it.

    Args:
        name: Name. A fused layer lists the names of all its parts (`a + b`, `a || b`).
        mean_ms: Mean time per run. Zero for copies that TensorRT skipped.
        median_ms: Median time per run, None if this version does not report it.
        percent: Share of the time of all layers.
    """

    name: str
    mean_ms: float
    median_ms: float | None
    percent: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LayerInfo:
    """Information about one layer of an engine.

    Args:
        name: Name, as in the profile.
        kind: TensorRT's layer type. Empty if the engine was built to keep only names.
        onnx_names: Names of the ONNX nodes that the layer computes, if this version reports them.
    """

    name: str
    kind: str = ""
    onnx_names: tuple[str, ...] = ()


def read_times(text: str, *, warmup_ms: float, version: Version, source: str = "times") -> NDArray[np.float64]:
    """Read the GPU compute time of each run that counts, in milliseconds, from `--exportTimes`.

    Versions before 8.5 export the warm-up runs too. These are dropped by their start time.

    Args:
        text: Content of the file.
        warmup_ms: Warm-up that trtexec was asked for.
        version: Version of TensorRT.
        source: Name of the file, used in messages.

    Raises:
        InputError: The file is damaged or has an unknown layout, a time is zero, or no run is left.
    """
    rows = _require_objects(load_json(text, source), source)
    times = []
    for number, row in enumerate(rows, start=1):
        place = f"{source}, run {number}"
        if set(row) not in (set(_TIMES), {*_TIMES, _OLD_TIME}):
            msg = f"{place}: unknown layout: the keys {sorted(set(row) ^ set(_TIMES))} are missing or new"
            raise InputError(msg)
        begun, computed = get_json_number(row, "startComputeMs", place), _read_compute_ms(row, place)
        if version >= _WITHOUT_WARMUP or begun >= warmup_ms:
            times.append(computed)
    if not times:
        msg = f"{source}: none of its {len(rows)} runs came after the warm-up of {warmup_ms:g} ms"
        raise InputError(msg, hint="give trtexec more time")
    return np.array(times, dtype=np.float64)


def read_profile(text: str, *, source: str = "profile") -> list[LayerTime]:
    """Read the layer times from `--exportProfile`, in the order in which the layers run.

    Raises:
        InputError: The file is damaged or has an unknown layout, or its figures are contradictory.
    """
    rows = _require_objects(load_json(text, source), source)
    if not rows or set(rows[0]) != {"count"}:
        msg = f"{source}: it does not begin with the number of runs"
        raise InputError(msg)
    count = get_json_number(rows[0], "count", source)
    layers = [_read_layer_time(row, count, f"{source}, layer {number}") for number, row in enumerate(rows[1:], start=1)]
    if sum(layer.mean_ms for layer in layers) <= 0:
        msg = f"{source}: no layer took any time"
        raise InputError(msg)
    return layers


def read_layer_info(text: str, *, source: str = "layer info") -> list[LayerInfo]:
    """Read the layer information from `--exportLayerInfo`. Layers are either names or objects.

    Raises:
        InputError: The file is damaged or has an unknown layout.
    """
    document = load_json(text, source)
    layers = document.get("Layers") if isinstance(document, dict) else None
    if not isinstance(layers, list) or not layers:
        msg = f"{source}: it has no list 'Layers'"
        raise InputError(msg)
    return [_read_layer_info(layer, f"{source}, layer {number}") for number, layer in enumerate(layers, start=1)]


def read_outputs(text: str, *, source: str = "outputs") -> NDArray[np.float32]:
    """Read the values of an engine's only output from `--exportOutput`.

    The file may hold `nan` and `inf`. These are read as NaN.

    Raises:
        InputError: The file is damaged or has an unknown layout, or holds more than one output.
    """
    rows = _require_objects(load_json(_NOT_A_NUMBER.sub("null", text), source), source)
    if len(rows) != 1 or set(rows[0]) != _OUTPUT:
        msg = f"{source}: it must hold one output with {', '.join(sorted(_OUTPUT))}"
        raise InputError(msg)
    dimensions, values = rows[0]["dimensions"], rows[0]["values"]
    if not isinstance(dimensions, str) or not _DIMENSIONS.fullmatch(dimensions) or not isinstance(values, list):
        msg = f"{source}: the dimensions are {dimensions!r}, or the values are not a list"
        raise InputError(msg)
    shape = tuple(int(size) for size in dimensions.split("x"))
    if math.prod(shape) != len(values):
        msg = f"{source}: it has {len(values)} values, which do not fit the dimensions {dimensions}"
        raise InputError(msg)
    numbers = [math.nan if value is None else _read_output_number(value, source) for value in values]
    return np.array(numbers, dtype=np.float32).reshape(shape)


def _require_objects(document: object, source: str) -> Sequence[dict[str, Any]]:
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        msg = f"{source}: it must be a list of objects"
        raise InputError(msg)
    return document


def _read_compute_ms(row: dict[str, Any], place: str) -> float:
    begin, end, computed = (get_json_number(row, key, place) for key in ("startComputeMs", "endComputeMs", "computeMs"))
    if computed <= 0:
        msg = f"{place}: computeMs is {computed:g}: a latency must be positive"
        raise InputError(msg)
    if abs(end - begin - computed) > _PRINTED * end:
        msg = f"{place}: computeMs is {computed:g}, but the run lasted from {begin:g} to {end:g} ms"
        raise InputError(msg)
    return computed


def _read_output_number(value: object, source: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    msg = f"{source}: {str(value)[:40]!r} is not a number"
    raise InputError(msg)


def _read_layer_time(row: dict[str, Any], count: float, place: str) -> LayerTime:
    if set(row) not in (_PROFILE, {*_PROFILE, "medianMs"}) or not isinstance(row["name"], str):
        msg = f"{place}: unknown layout: {sorted(row)}"
        raise InputError(msg)
    total, mean, percent = (get_json_number(row, key, place) for key in ("timeMs", "averageMs", "percentage"))
    median = get_json_number(row, "medianMs", place) if "medianMs" in row else None
    if abs(mean * count - total) > _PRINTED * total or percent > 100 * (1 + _PRINTED):
        msg = f"{place}: {count:g} runs of {mean:g} ms do not add up to {total:g} ms, or {percent:g} % is too much"
        raise InputError(msg)
    if median == 0 < mean:
        msg = f"{place}: the median is zero, but the mean is {mean:g} ms"
        raise InputError(msg)
    return LayerTime(name=row["name"], mean_ms=mean, median_ms=median, percent=percent)


def _read_layer_info(layer: object, place: str) -> LayerInfo:
    if isinstance(layer, str) and layer:
        return LayerInfo(name=layer)
    fields = [layer.get(key, "") for key in ("Name", "LayerType", "Metadata")] if isinstance(layer, dict) else []
    if not fields or not all(isinstance(field, str) for field in fields) or not fields[0]:
        msg = f"{place}: the layer is neither a name nor an object with 'Name'"
        raise InputError(msg)
    name, kind, metadata = fields
    return LayerInfo(name=name, kind=kind, onnx_names=tuple(_ONNX_LAYER.findall(metadata)))
