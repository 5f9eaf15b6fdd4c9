"""Prints time, size, parity and latency of exports.

Each row is exported in a fresh process. Its time is what a user waits for: import of the converter, conversion, check
on 8 images of noise, and measurement of the latency on one thread.

Run: python benchmarks/export.py
"""

import concurrent.futures
import multiprocessing
import sys
import tempfile
from pathlib import Path
from typing import Any

from natdeploy.api.context import Context
from natdeploy.api.latency.timers import open_timer
from natdeploy.api.results import jsonable
from natdeploy.core.architecture import uniform
from natdeploy.core.device import TableSelector, find_deployment
from natdeploy.core.layers import walk
from natdeploy.export.formats import find_format
from natdeploy.export.manifest import Description
from natdeploy.export.pipeline import Exported, export_network
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import build_network
from natdeploy.testing.networks import noise_images

BUDGET_SECONDS = {"onnx": 5.0, "tflite": 30.0}
SUBNETS = {"starter r=64": ("starter", 64, 10), "ofa-mbv3-w1.0 r=224": ("ofa-mbv3-w1.0", 224, 1000)}


def measure(space_name: str, resolution: int, classes: int, format_name: str) -> Exported:
    """Export the mid-size architecture of a space and return the result."""
    space, how = find_space(space_name), find_format(format_name)
    subnet = uniform(space, resolution=resolution, width=space.widths[0], depth=3, kernel=5, expand_ratio=4)
    network = randomize_weights(build_network(walk(space, subnet, classes)), 0)
    images = noise_images(network, 8)

    def latency(path: Path) -> dict[str, Any]:
        deployment = find_deployment(find_device("host"), TableSelector(runtime=how.runtime.id))
        with open_timer(find_device("host"), deployment, Context()) as timer:
            return jsonable(timer.time([path], seed=0).stats[0])

    with tempfile.TemporaryDirectory() as folder:
        return export_network(
            network,
            exporter=how.exporter,
            runtime=how.runtime,
            output_path=Path(folder) / f"subnet{how.exporter.suffix}",
            images=images,
            description=Description(subnet=subnet.to_json()),
            latency=latency,
        )


def main() -> int:
    """Print one row an export; fail when a budget is missed."""
    print(f"{'subnet':22}{'format':8}{'seconds':>8}{'budget':>8}{'MB':>7}{'max error':>11}{'top-1':>7}{'ms':>8}")
    missed = False
    for name, arguments in SUBNETS.items():
        for format_name, budget in BUDGET_SECONDS.items():
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
                row = pool.submit(measure, *arguments, format_name).result()
            missed |= row.seconds > budget
            figures = f"{row.seconds:8.1f}{budget:8.0f}{row.size_bytes / 1e6:7.1f}{row.parity.relative_error:11.1e}"
            print(f"{name:22}{format_name:8}{figures}{row.parity.top1_agreement:7.0%}{row.latency_ms:8.2f}", flush=True)
    print("max error: relative to the largest logit (limit 1e-4); ms: median latency on this machine, one thread")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
