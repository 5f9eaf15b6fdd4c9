"""Top-1 on the test images of a finished run's front: with the supernet as it was before adaptation, and after.

The warm-up is trained again from the run's seed, which gives the very weights that adaptation began with.
Run: python benchmarks/adaptation.py RUN
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from natdeploy.api.context import prepare_torch
from natdeploy.api.loop import build_supernet
from natdeploy.api.settings import SearchPlan
from natdeploy.core.architecture import Architecture
from natdeploy.core.genotype import decode
from natdeploy.io.runs import RunFolder
from natdeploy.supernet.evaluation import SubnetEvaluator, top1


def main() -> None:
    """Print the table."""
    path = Path(sys.argv[1])
    run = RunFolder.open(path)
    plan = SearchPlan.from_settings(run.settings, str(path))
    prepare_torch(plan.threads)
    rows = run.read_csv("front")
    front = [decode(plan.space, np.array(row["genotype"].split(), dtype=np.int64)) for row in rows]
    after, _ = build_supernet(plan, run)
    before, trainer = build_supernet(plan, RunFolder(path / "no checkpoint", {}))
    for number in range(plan.first_epochs):
        trainer.epoch(number, None)
    print(f"{'row':>4}{'r':>4}{'MAdds (M)':>11}{'before':>9}{'after':>9}")
    pairs = [(test_top1(before, architecture), test_top1(after, architecture)) for architecture in front]
    for row, pair in zip(rows, pairs, strict=True):
        print(f"{row['row']:>4}{row['resolution']:>4}{row['madds'] / 1e6:>11.2f}{pair[0]:>9.4f}{pair[1]:>9.4f}")
    means = np.mean(pairs, axis=0)
    print(f"mean of {len(front)}: {means[0]:.4f} before, {means[1]:.4f} after")


def test_top1(evaluator: SubnetEvaluator, architecture: Architecture) -> float:
    """Return the share of test images whose class is found."""
    task = evaluator.task
    images = task.prepare(task.test.images, architecture.resolution)
    return top1(evaluator.subnet(architecture), images, task.test.labels)


if __name__ == "__main__":
    main()
