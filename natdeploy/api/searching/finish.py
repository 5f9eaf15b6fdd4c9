"""The end of every search: archive and front as files, the selected architectures as subnets, report and result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from natdeploy.api.results import jsonable
from natdeploy.api.searching.report.document import describe_run, make_document
from natdeploy.api.searching.report.page import render_page
from natdeploy.api.searching.report.summary import Summary
from natdeploy.api.searching.results import Choice, SearchResult
from natdeploy.api.searching.selection import Selector
from natdeploy.files import keep_former
from natdeploy.io.subnets import Subnet, write_subnet


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Top1:
    """Top-1 accuracy of a selected architecture.

    Args:
        value: The accuracy, between 0 and 1.
        source: `test` if it is measured on test images, or `predicted`.
        validation: The accuracy on validation images; None if no images were used.
    """

    value: float
    source: str
    validation: float | None = None


class SubnetWriter(Protocol):
    """Writes the selected architectures of a search as subnets."""

    def top1(self, place: int) -> Top1:
        """Return the accuracy of a place in the archive."""
        ...

    def write(self, place: int, path: Path, metrics: Mapping[str, Any]) -> Subnet:
        """Write a place in the archive as the subnet file `path`."""
        ...


def write_front(selector: Selector) -> list[dict[str, Any]]:
    """Write `front.csv`; return its rows, with `front` true."""
    rows = selector.rows(selector.front)
    selector.run.write_csv("front", rows)
    return [{**row, "front": True} for row in rows]


def write_archive(selector: Selector) -> list[dict[str, Any]]:
    """Write `archive.csv` and `front.csv`; return the archive's rows, those with `front` true first."""
    rows, on_front = selector.rows(range(len(selector.archive))), selector.front.tolist()
    selector.run.write_csv("archive", rows)
    selector.run.write_csv("front", [rows[place] for place in on_front])
    order = [*on_front, *(place for place in range(len(rows)) if place not in set(on_front))]
    return [{**rows[place], "front": place in set(on_front)} for place in order]


def finish(
    selector: Selector,
    writer: SubnetWriter,
    rows: Sequence[Mapping[str, Any]],
    summary: Summary,
    alias: Path | None,
) -> SearchResult:
    """Select an architecture for each latency limit, and write the subnets and the report.

    Args:
        selector: Selects from the archive.
        writer: Writes the subnets.
        rows: Rows of the report, with the key `front`.
        summary: Further content of report and result.
        alias: Second file to write the first subnet to.

    Raises:
        TargetUnreachableError: No architecture of the archive keeps the limits.
    """
    problem, run, clock = selector.problem, selector.run, selector.context.clock
    choices = _write_choices(selector, writer, alias)
    front = [row for row in rows if row["front"]]
    page = render_page(make_document([describe_run(selector, summary, rows, choices)]))
    return SearchResult(
        run=run.path,
        subnet=alias or choices[0].subnet,
        front_size=len(front),
        front=front,
        iterations=summary.iterations,
        evaluations=summary.evaluations,
        seconds=round(clock.seconds() - summary.started_s, 3),
        choices=choices,
        limits=dict(problem.goal.limits),
        prefer=problem.goal.prefer,
        report=run.write_report(page),
    )


def _write_choices(selector: Selector, writer: SubnetWriter, alias: Path | None) -> tuple[Choice, ...]:
    selections = selector.problem.goal.selections
    names = ["subnet", *(f"subnet-{number}" for number in range(2, len(selections) + 1))]
    choices, subnets = [], []
    for limits_ms, name in zip(selections, names, strict=True):
        place, choice = _choose(selector, writer, limits_ms, name)
        choices.append(choice)
        subnets.append(writer.write(place, choice.subnet, _metrics(choice)))
    if alias is not None:
        kept = keep_former(alias)
        if kept is not None:
            selector.context.reporter.info(f"the {alias.name} that was there is kept as {kept.name}")
        write_subnet(alias, subnets[0])
    return tuple(choices)


def _choose(selector: Selector, writer: SubnetWriter, limits_ms: Mapping[str, float], name: str) -> tuple[int, Choice]:
    place, measured = selector.select(limits_ms)
    top1 = writer.top1(place)
    choice = Choice(
        target_ms=dict(limits_ms),
        top1=top1.value,
        top1_source=top1.source,
        validation_top1=top1.validation,
        madds=int(selector.cost("madds", place)),
        params=int(selector.cost("params", place)),
        latency_ms=selector.latencies(place, measured),
        compared_with=selector.compared_with(limits_ms),
        subnet=selector.run.path / f"{name}.json",
        genotype=tuple(selector.archive.genotypes[place].tolist()),
        top1_by_task={task: float(known[place]) for task, known in selector.archive.top1_by_task.items()},
    )
    return place, choice


def _metrics(choice: Choice) -> dict[str, Any]:
    """Return the metrics for the subnet file of a choice."""
    kept = ("top1", "top1_source", "validation_top1", "madds", "params", "latency_ms")
    told = {key: value for key, value in jsonable(choice).items() if key in kept}
    return {**told, "top1_by_task": dict(choice.top1_by_task)} if choice.top1_by_task else told
