"""Latency, parts and size of int8 files against fp32 files: `python benchmarks/int8.py [SPACE ...]`.

Networks have random weights, and int8 ranges are those of noise. The two files of a row are timed in turns, on one
thread. Latencies are 10th percentiles, which other work on the machine disturbs less than medians. TFLite files are
written without the converter: they have its operators, and take a fraction of its time.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from natdeploy.api.context import Context
from natdeploy.api.exporting.images import make_noise
from natdeploy.api.latency.levels import time_files
from natdeploy.api.latency.timers import open_timer
from natdeploy.core.architecture import largest, smallest
from natdeploy.core.device import TableSelector, find_deployment
from natdeploy.core.genotype import decode, sample
from natdeploy.core.layers import walk
from natdeploy.core.space import SearchSpace
from natdeploy.export.onnx import OnnxExporter
from natdeploy.export.quantization_calibration import QuantizationCalibration
from natdeploy.export.tflite_direct import TfliteDirectExporter
from natdeploy.export.tflite_precision import to_int8
from natdeploy.export.xnnpack_operators import fit_to_xnnpack
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.runtimes.litert_delegation import read_delegation
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import Network, build_network

SHOWN = ("starter", "lite", "ofa-mbv3-w1.0")
HEADS = ("network", "runtime", "fp32 MB", "int8 MB", "fp32 ms", "int8 ms", "times as fast", "parts of int8")
CHOICES = {
    "smallest": smallest,
    "random": lambda space: decode(space, sample(space, 1, np.random.default_rng(0))[0]),
    "largest": largest,
}


def write(network: Network, folder: Path, runtime: str) -> list[Path]:
    """Write the fp32 and the int8 file of a runtime."""
    noise = make_noise(8, network.input_size, np.random.default_rng(0))
    if runtime == "onnxruntime":
        paths = [folder / "fp32.onnx", folder / "int8.onnx"]
        calibration = QuantizationCalibration(images=noise, source="noise")
        OnnxExporter().write(network, paths[0])
        OnnxExporter(precision="int8", calibration=calibration).write(network, paths[1])
        return paths
    paths = [folder / "fp32.tflite", folder / "int8.tflite"]
    TfliteDirectExporter().write(network, paths[0])
    TfliteDirectExporter().write(fit_to_xnnpack(network, int8=True), paths[1])
    paths[1].write_bytes(to_int8(paths[1], noise, int8_input=False).content)
    return paths


def measure(network: Network, runtime: str) -> list[str]:
    """Return the figures of a row."""
    device = find_device("host")
    target = find_deployment(device, TableSelector(runtime=runtime))
    with tempfile.TemporaryDirectory() as name:
        paths = write(network, Path(name), runtime)
        with open_timer(device, target, Context()) as timer:
            plain, quantized = (stats.p10_ms for stats in time_files(timer, paths, target, seed=0).stats)
        parts = str(read_delegation(paths[1]).partitions) if runtime == "litert" else ""
        sizes = [f"{path.stat().st_size / 1e6:.2f}" for path in paths]
    return [runtime, *sizes, f"{plain:.3f}", f"{quantized:.3f}", f"{plain / quantized:.2f}", parts]


def rows(space: SearchSpace, which: str) -> list[list[str]]:
    """Return the rows of an architecture."""
    architecture = CHOICES[which](space)
    network = randomize_weights(build_network(walk(space, architecture, 1000)), 0)
    label = f"{space.name}, {which}, r = {architecture.resolution}"
    return [[label, *measure(network, runtime)] for runtime in ("onnxruntime", "litert")]


def main(spaces: list[str]) -> None:
    """Print the table row by row."""
    print("| " + " | ".join(HEADS) + " |\n|" + "---|" * len(HEADS))
    for space in map(find_space, spaces):
        for which in CHOICES:
            for row in rows(space, which):
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(SHOWN))
