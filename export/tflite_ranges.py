"""Ranges of the values in a TFLite file, from images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from natdeploy.machine import usable_cores
from natdeploy.ports import Images
from natdeploy.runtimes.litert import open_interpreter

_SAMPLES_PER_IMAGE = 4096
Range = tuple[float, float]


def collect_ranges(
    source: Path, images: Images, tensors: Collection[str], percentiles: Sequence[float]
) -> dict[float, dict[str, Range]]:
    """Return the ranges of tensors for each percentile.

    The range for a percentile leaves out the few values beyond it on each side. For 100 it holds all values. Other
    percentiles are those of a sample of the values of each image.

    Args:
        source: Float32 file with one input.
        images: `n x r x r x 3` images.
        tensors: Names of the tensors.
        percentiles: Percentiles, between 50 and 100.

    Raises:
        MissingRuntimeError: No interpreter is installed.
    """
    interpreter = open_interpreter(source, threads=usable_cores(), keep_tensors=True)
    numbers = {item["name"]: item["index"] for item in interpreter.get_tensor_details() if item["name"] in tensors}
    entry = interpreter.get_input_details()[0]["index"]
    rng = np.random.default_rng(0)
    extremes: dict[str, list[Range]] = {name: [] for name in numbers}
    samples: dict[str, list[NDArray[np.float32]]] = {name: [] for name in numbers}
    for place in range(len(images)):
        interpreter.set_tensor(entry, images[place : place + 1])
        interpreter.invoke()
        for name, number in numbers.items():
            values = interpreter.get_tensor(number).ravel()
            extremes[name].append((float(values.min()), float(values.max())))
            few = len(values) <= _SAMPLES_PER_IMAGE
            samples[name].append(values if few else values[rng.integers(0, len(values), _SAMPLES_PER_IMAGE)])
    joined = {name: np.concatenate(parts) for name, parts in samples.items()}
    return {percentile: _take_percentile(extremes, joined, percentile) for percentile in percentiles}


def _take_percentile(
    extremes: Mapping[str, Sequence[Range]], samples: Mapping[str, NDArray[np.float32]], percentile: float
) -> dict[str, Range]:
    if percentile == 100:
        return {name: (min(low for low, _ in ends), max(high for _, high in ends)) for name, ends in extremes.items()}
    found = {}
    for name, values in samples.items():
        low, high = np.percentile(values, (100 - percentile, percentile))
        found[name] = float(low), float(high)
    return found
