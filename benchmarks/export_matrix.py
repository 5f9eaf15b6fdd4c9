"""Size, time, parity and latency of every format in every precision: `python benchmarks/export_matrix.py [SPACE ...]`.

Networks have random weights. They are checked and calibrated on noise. Latencies are medians on one thread; that of
fp32 is measured beside them, in turns. Each row is made in a process of its own, which gives its memory back. Its
seconds include the import of the converter, but not that of torch. `--journal FILE` keeps rows as they are made, failed
ones too, and the next call does not make them again: remove the file to begin anew. docs/evidence/export.md splits the
printed table into two for each network.
"""

import argparse
import concurrent.futures
import itertools
import json
import multiprocessing
import sys
import tempfile
from pathlib import Path

import numpy as np

from natdeploy import api
from natdeploy.core.architecture import Architecture, largest, smallest
from natdeploy.core.device import PRECISIONS
from natdeploy.core.genotype import decode, sample
from natdeploy.core.space import SearchSpace
from natdeploy.errors import NatdeployError
from natdeploy.io.spaces import find_space, list_spaces
from natdeploy.journal import Journal

FORMATS = ("onnx", "tflite")
SHOWN = ("starter", "ofa-mbv3-w1.0", "ofa-mbv3-w1.2")
HEADS = ("network", "file", "MB", "s", "max error", "cosine", "top-1 same", "ms", "fp32 ms", "XNNPACK")


def random_one(space: SearchSpace) -> Architecture:
    """Draw one architecture."""
    return decode(space, sample(space, 1, np.random.default_rng(0))[0])


CHOICES = {"smallest": smallest, "random": random_one, "largest": largest}


def export(space: str, which: str, format_name: str, precision: str) -> list[str]:
    """Export once and return the figures of the row, or why there are none."""
    architecture: Architecture = CHOICES[which](find_space(space))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "subnet.json")
        source.write_text(json.dumps(architecture.to_json()))
        options = api.ExportOptions(precision=precision)
        try:
            result = api.export(api.SubnetSource(source, supernet=space, classes=1000), (format_name,), options=options)
        except NatdeployError as error:
            reason = error.message.replace(folder, "").replace("|", "/")
            return [reason, *[""] * (len(HEADS) - 3)]
    exported = result.exports[0]
    parity, delegation = exported.parity, exported.delegation
    return [
        f"{exported.size_bytes / 1e6:.2f}",
        f"{exported.seconds:.1f}",
        f"{parity.relative_error:.1e}",
        f"{parity.cosine:.5f}",
        f"{parity.top1_agreement:.0%}",
        _milliseconds(exported.latency_ms),
        _milliseconds(exported.fp32_latency_ms),
        "" if delegation is None else f"{delegation.partitions}",
    ]


def alone(*arguments: str) -> list[str]:
    """Return the figures of a row that a fresh process makes; one that dies, as for lack of memory, is a row too."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        try:
            return pool.submit(export, *arguments).result()
        except concurrent.futures.BrokenExecutor:
            return ["the process died", *[""] * (len(HEADS) - 3)]


def main(spaces: list[str], journal: Journal) -> None:
    """Print the table, of rows that are in the journal and of new ones."""
    known = {tuple(event["row"]): event["figures"] for event in journal.events}
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for row in itertools.product(spaces, CHOICES, FORMATS, PRECISIONS):
        if row not in known:
            known[row] = alone(*row)
            journal.append({"row": row, "figures": known[row]})
        space, which, format_name, precision = row
        resolution = CHOICES[which](find_space(space)).resolution
        cells = [f"{space} {which}, r={resolution}", f"{format_name} {precision}", *known[row]]
        print(f"| {' | '.join(cells)} |", flush=True)


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spaces", nargs="*", metavar="SPACE", help=f"[default: {' '.join(SHOWN)}]")
    parser.add_argument("--journal", type=Path, default=Path("export_matrix.jsonl"), help="[default: %(default)s]")
    return parser


if __name__ == "__main__":
    parser = _parser()
    given = parser.parse_args(sys.argv[1:])
    if not set(given.spaces) <= set(list_spaces()):
        parser.error(f"unknown space (known: {', '.join(list_spaces())})")
    main(given.spaces or list(SHOWN), Journal(given.journal))
