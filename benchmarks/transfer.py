"""Prints how well a table that is fitted on one GPU and calibrated with a few networks of another predicts the other.

The data are 5,000 networks of the OFA-MobileNetV3 space that were measured on two GPUs (HELP, Lee et al., NeurIPS
2021), in `latency/help` of FOLDER, by default the folder that NATDEPLOY_SHARED_DATA names.
Run: python benchmarks/transfer.py [FOLDER]
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from natdeploy.api.context import SilentReporter, SystemClock
from natdeploy.core.device import Deployment
from natdeploy.core.latency import LatencyTable, Validation
from natdeploy.core.launch_bound import explain_latency
from natdeploy.core.layers import Layer, walk
from natdeploy.core.table_errors import compute_errors
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import read_architecture
from natdeploy.profilers.network_tables import calibrate_table, fit_table

FIT, CALIBRATE, DRAWS = 4000, 20, 20
FILE = Path("latency") / "help" / "ofa_5000x6.csv.gz"
Networks = list[tuple[Layer, ...]]


def read(path: Path, supernet: str) -> tuple[Networks, dict[str, list[float]]]:
    """Return the layers of every network, and the latencies by column."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    space = find_space(supernet)
    networks = []
    for row in rows:
        text = json.dumps({key: json.loads(row[key]) for key in ("ks", "e", "d", "r")})
        networks.append(walk(space, read_architecture(text, space).require_member()[1], 1000))
    columns = [name for name in rows[0] if name.endswith("_ms")]
    return networks, {name: [float(row[name]) for row in rows] for name in columns}


def fit(networks: Networks, measured: list[float], supernet: str, batch: int) -> LatencyTable:
    """Return the table of a GPU fitted to `networks`."""
    sizes = tuple(sorted({layers[0].in_size for layers in networks}))
    space = find_space(supernet).with_resolutions(sizes)
    deployment = Deployment(device="2080ti", runtime="onnxruntime", precision="fp32", batch=batch, threads=1)
    return fit_table(space, deployment, networks, measured, reporter=SilentReporter(), clock=SystemClock())


def transfers(
    table: LatencyTable, networks: Networks, measured: list[float], *, seen: int = FIT, draws: int = DRAWS
) -> Iterator[tuple[Validation, Validation, float]]:
    """Yield for each draw of calibration networks the stated errors, those on unseen networks, and the coverage."""
    deployment = Deployment(
        device="titan-xp", runtime="onnxruntime", precision="fp32", batch=table.deployment.batch, threads=1
    )
    for seed in range(draws):
        drawn = np.random.default_rng(seed).choice(seen, CALIBRATE, replace=False).tolist()
        calibrated = calibrate_table(
            table,
            deployment,
            [networks[place] for place in drawn],
            [measured[place] for place in drawn],
            clock=SystemClock(),
        )
        found = [calibrated.predict(layers) for layers in networks[seen:]]
        truth = np.array(measured[seen:])
        assert calibrated.validation is not None
        upper = np.array([prediction.upper_ms for prediction in found])
        scored = compute_errors([prediction.latency_ms for prediction in found], truth)
        yield calibrated.validation, scored, float((truth <= upper).mean())


def line(supernet: str, batch: int, networks: Networks, latencies: dict[str, list[float]]) -> str:
    """Return one line of the table."""
    source, other = latencies[f"2080ti_{batch}_ms"], latencies[f"titan_xp_{batch}_ms"]
    table = fit(networks[:FIT], source[:FIT], supernet, batch)
    own = compute_errors([table.predict(layers).latency_ms for layers in networks[FIT:]], source[FIT:])
    stated, scored, covered = zip(*transfers(table, networks, other), strict=True)
    mape = statistics.mean(result.mape_percent for result in scored)
    worst = max(result.mape_percent for result in scored)
    tau = statistics.mean(result.kendall_tau for result in scored)
    bound = "launch-bound" if explain_latency(networks[:FIT], source[:FIT]).launch_bound else ""
    return (
        f"{supernet:14} {batch:5} {own.mape_percent:9.2f} {own.kendall_tau:8.3f} {mape:11.2f} {worst:10.2f} {tau:9.3f} "
        f"{statistics.mean(result.mape_percent for result in stated):12.2f} {statistics.mean(covered):9.3f}  {bound}"
    )


def main() -> None:
    """Print the table."""
    default = os.environ.get("NATDEPLOY_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")
    path = Path(sys.argv[1] if len(sys.argv) > 1 else default) / FILE
    print(
        f"fitted to {FIT} networks of the 2080Ti, calibrated with {CALIBRATE} of them on the Titan Xp ({DRAWS} draws),"
    )
    print("scored on the other 1000; 'own' is the fitted table on its own GPU")
    print("space          batch own MAPE%  own tau  Titan MAPE% worst draw Titan tau stated MAPE%  coverage")
    for supernet in ("ofa-mbv3-w1.2", "ofa-mbv3-w1.0"):
        networks, latencies = read(path, supernet)
        for batch in (64, 32, 1):
            print(line(supernet, batch, networks, latencies), flush=True)


if __name__ == "__main__":
    main()
