"""Size, time, parity and latency of every format in every precision: `python benchmarks/export_matrix.py [SPACE ...]`.

Prints the table of docs/export.md. Networks have random weights and are checked and calibrated on noise; latencies are
medians on one thread, that of fp32 measured beside, in turns. The first export, which imports the converters, is not
counted.
"""

import itertools
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from natdeploy import api
from natdeploy.core.architecture import Architecture, largest, smallest
from natdeploy.core.device import PRECISIONS
from natdeploy.core.genotype import decode, sample
from natdeploy.core.space import SPACES, SearchSpace
from natdeploy.errors import CheckFailedError

FORMATS = ("onnx", "tflite")
SHOWN = ("starter", "ofa-mbv3-w1.0", "ofa-mbv3-w1.2")
HEADS = ("network", "file", "MB", "s", "max error", "cosine", "top-1 same", "ms", "fp32 ms", "XNNPACK")


def random_one(space: SearchSpace) -> Architecture:
    """Draw one architecture."""
    return decode(space, sample(space, 1, np.random.default_rng(0))[0])


CHOICES = {"smallest": smallest, "random": random_one, "largest": largest}


def row(source: Path, space: str, format_name: str, precision: str) -> list[str]:
    """Export once and return the figures."""
    options = api.ExportOptions(precision=precision)
    try:
        result = api.export(source, (format_name,), options=options, supernet=space, classes=1000)
    except CheckFailedError as error:
        return [f"{format_name} {precision}", f"rejected: {error.message}", *[""] * (len(HEADS) - 3)]
    exported = result.exports[0]
    parity, delegation, plain_ms = exported.parity, exported.delegation, exported.fp32_latency_ms
    return [
        f"{format_name} {precision}",
        f"{exported.size_bytes / 1e6:.2f}",
        f"{exported.seconds:.1f}",
        f"{parity.relative_error:.1e}",
        f"{parity.cosine:.5f}",
        f"{parity.top1_agreement:.0%}",
        f"{exported.latency_ms:.2f}",
        "" if plain_ms is None else f"{plain_ms:.2f}",
        "" if delegation is None else f"{delegation.partitions}",
    ]


def main(spaces: list[str]) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "subnet.json")
        source.write_text(json.dumps(smallest(SPACES["starter"]).to_json()))
        for format_name in FORMATS:
            row(source, "starter", format_name, "int8")
        print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
        for space, which in itertools.product(spaces, CHOICES):
            architecture = CHOICES[which](SPACES[space])
            source.write_text(json.dumps(architecture.to_json()))
            for format_name, precision in itertools.product(FORMATS, PRECISIONS):
                figures = [f"{space} {which}, r={architecture.resolution}", *row(source, space, format_name, precision)]
                print(f"| {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(SHOWN))
