"""Prints the top-1 on the test images of a finished run's front, with the supernet before adaptation and after it.

The benchmark repeats the warm-up from the seed of the run, which gives the weights that adaptation began with.
Run: python benchmarks/adaptation.py RUN
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.trainer import build_supernet
from natdeploy.cli.memory import keep_freed_memory
from natdeploy.core.genotype import decode
from natdeploy.io.datasets import load_task
from natdeploy.io.runs import RunFolder


def main() -> None:
    """Print the table."""
    path = Path(sys.argv[1])
    run = RunFolder.open(path)
    plan = SearchPlan.from_config(run.config, str(path))
    keep_freed_memory()
    torch.set_num_threads(plan.threads)
    rows = run.read_csv("front")
    front = [decode(plan.space, np.array(row["genotype"].split(), dtype=np.int64)) for row in rows]
    task = load_task(plan.data, plan.resolutions[-1])
    after, _ = build_supernet(plan, run, task)
    before, trainer = build_supernet(plan, RunFolder(path / "no checkpoint", {}), task)
    for number in range(plan.first_epochs):
        trainer.train_epoch(number, None)
    print(f"{'row':>4}{'r':>4}{'MAdds (M)':>11}{'before':>9}{'after':>9}")
    pairs = [tuple(evaluator.test_top1(evaluator.extract(a)) for evaluator in (before, after)) for a in front]
    for row, pair in zip(rows, pairs, strict=True):
        print(f"{row['row']:>4}{row['resolution']:>4}{row['madds'] / 1e6:>11.2f}{pair[0]:>9.4f}{pair[1]:>9.4f}")
    means = np.mean(pairs, axis=0)
    print(f"mean of {len(front)}: {means[0]:.4f} before, {means[1]:.4f} after")


if __name__ == "__main__":
    main()
