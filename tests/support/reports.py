"""Runs with reports, made in a moment: archives with made-up accuracies and latencies, and the events of a search."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy import api
from natdeploy.api.searching.finish import Top1, finish, write_archive
from natdeploy.api.searching.report.summary import Images, Summary, WeightsSource
from natdeploy.api.searching.selection import Archive, Selector
from natdeploy.core.device import Deployment
from natdeploy.core.genotype import Population, decode, drop_duplicates, sample
from natdeploy.core.latency import LatencyCorrection, LatencyTable, Validation
from natdeploy.io.runs import RunFolder
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import Subnet, write_subnet
from natdeploy.search.predictor import measure_quality
from natdeploy.search.problem import SearchGoal, SearchProblem
from natdeploy.testing.accuracy import made_up_accuracy
from natdeploy.testing.tables import made_up_table

SPACE = find_space("starter")
BOARD, OTHER = "jetson-nano", "jetson-xavier-nx"
CORRECTION = LatencyCorrection(
    alpha_ms=0.4, beta=0.9, gamma_ms=0.05, lower_ratio=0.93, upper_ratio=1.08, coverage=0.9, networks=20
)
ERRORS = Validation(
    networks=20,
    mape_percent=2.1,
    max_error_percent=6.3,
    within_5_percent=0.95,
    spearman_rho=0.99,
    kendall_tau=0.97,
)
IMAGES = Images(
    dataset="pets <b>&", classes=("cat", "<script>alert(1)</script>", "dog"), train=900, validation=300, test=400
)


def make_table(device: str, *, factor: float = 1.0, provenance: str = "measured") -> LatencyTable:
    """Return the table of a device that is `factor` times as slow; with a correction unless it is estimated."""
    deployment = Deployment(device=device, runtime="onnxruntime", precision="fp32", batch=1, threads=4)
    table = made_up_table(SPACE, deployment=deployment, provenance=provenance)
    rows = {layer: stats.scale(factor) for layer, stats in table.rows.items()}
    if provenance == "estimated":
        return dataclasses.replace(table, rows=rows)
    return dataclasses.replace(table, rows=rows, latency_correction=CORRECTION, validation=ERRORS)


@dataclasses.dataclass(frozen=True)
class Writer:
    """Writes architectures without weights, as if their accuracy had been measured on test images."""

    selector: Selector

    def top1(self, place: int) -> Top1:
        """Return accuracies on test and validation images."""
        value = float(self.selector.archive.top1[place])
        return Top1(value=value - 0.01, source="test", validation=value)

    def write(self, place: int, path: Path, metrics: Mapping[str, Any]) -> Subnet:
        """Write the architecture."""
        architecture = decode(SPACE, self.selector.archive.genotypes[place])
        subnet = Subnet(space=SPACE, architecture=architecture, classes=3, metrics=metrics)
        write_subnet(path, subnet)
        return subnet


def make_selector(
    path: Path,
    tables: Mapping[str, LatencyTable],
    *,
    count: int = 60,
    limits_ms: Sequence[Mapping[str, float]] = (),
    seed: int = 0,
    **goal: Any,
) -> Selector:
    """Return a selector from `count` random architectures at most, in a new run folder."""
    archive = drop_duplicates(sample(SPACE, count, np.random.default_rng(seed)))
    wanted = SearchGoal(devices=tuple(tables), latency_limits_ms=tuple(limits_ms), **goal)
    return Selector(
        problem=SearchProblem(space=SPACE, classes=3, goal=wanted, tables=tables),
        archive=Archive(genotypes=archive, top1=made_up_accuracy(archive)),
        run=RunFolder.create(path, {"search": {}}),
        seed=seed,
        context=api.Context(),
    )


def record_measured(selector: Selector, device: str, places: Sequence[int], factor: float) -> None:
    """Record that some networks were measured: `factor` times as slow as predicted, at a level of 0.8."""
    latency = selector.problem.costs[f"latency:{device}"](selector.archive.genotypes)
    for place in places:
        event = {"device": device, "median_ms": factor * float(latency[place]) / 0.8, "level": 0.8}
        selector.run.record("measured", {"genotype": selector.archive.genotypes[place].tolist(), **event})


def record_iterations(selector: Selector, count: int = 3) -> None:
    """Record what a search with training leaves of its iterations."""
    rng = np.random.default_rng(1)
    for iteration in range(1, count + 1):
        candidates: Population = selector.archive.genotypes[8 * iteration : 8 * iteration + 8]
        top1 = made_up_accuracy(candidates)
        predicted = top1 + rng.normal(0, 0.02, len(top1))
        selector.run.record(
            "proposed",
            {"iteration": iteration, "genotypes": candidates.tolist(), "predicted": predicted.tolist()},
        )
        for genotype, value in zip(candidates.tolist(), top1.tolist(), strict=True):
            selector.run.record("evaluated", {"round": 2 * iteration - 1, "genotype": genotype, "top1": value})
        figures = {"best_top1": float(top1.max()), "hypervolume": 0.5 + 0.1 * iteration, "predictor": "rbf-ensemble"}
        figures |= {"reference": {"error": 0.6, "madds": 2e7}, **measure_quality(predicted, top1)}
        selector.run.record("iteration", {"iteration": iteration, **figures})


def write_run(selector: Selector, *, images: Images | None = IMAGES, title: str = "Search of starter") -> Path:
    """Write the files of a run, and return its report."""
    summary = Summary(
        title=title,
        note="preset quick, seed 0.",
        iterations=3,
        evaluations=len(selector.archive),
        started_s=0.0,
        images=images,
        weights=WeightsSource(run=selector.run.path, rows=range(len(selector.archive))) if images else None,
    )
    return finish(selector, Writer(selector), write_archive(selector), summary, None).report


def read_data(report: Path) -> dict[str, Any]:
    """Return the data in a report."""
    return parse_page(report.read_text())


def parse_page(page: str) -> dict[str, Any]:
    """Return the data in the text of a report."""
    start = page.index(">", page.index('id="report-data"')) + 1
    document: dict[str, Any] = json.loads(page[start : page.index("</script>", start)])
    return document
