"""Deciding again from a finished run: other devices, targets and limits, on the supernet that it adapted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.api.context import Context
from natdeploy.api.latency.lookup import find_table_for_search
from natdeploy.api.searching.archive import Decider, archive_of_run, evaluator_of_run
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.problem import Targets, covered
from natdeploy.api.searching.report import report_html
from natdeploy.api.searching.results import SearchResult
from natdeploy.api.searching.selection import Values
from natdeploy.core.genotype import Population
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.errors import CoverageError, TargetUnreachableError
from natdeploy.io.datasets import load_classes
from natdeploy.io.runs import RunFolder, default_run_path
from natdeploy.io.tables import write_table
from natdeploy.search.decision import rank
from natdeploy.search.objectives import ACCURACY, cost_arrays, read_objectives, read_preference, used_devices
from natdeploy.supernet.threads import prepare_torch


def search_from(
    run: Path,
    *,
    devices: Sequence[str] = ("host",),
    targets: Targets = (),
    objectives: Sequence[str] = (),
    limits: Mapping[str, float] | None = None,
    prefer: str = ACCURACY,
    output: Path | None = None,
    context: Context | None = None,
) -> SearchResult:
    """Choose from the archive of a finished run for other devices, targets or limits; nothing is trained.

    The chosen subnets get the weights of the run's supernet and their own BatchNorm statistics; their accuracy is that
    of the run's validation images, and of the test images, which are read for them.

    Args:
        run: Folder of the finished run.
        devices: Devices whose latency counts.
        targets: One mapping of devices to milliseconds for each choice; without any, the most accurate is chosen.
        objectives: What the front is made of, as in `search`.
        limits: Largest `madds`, `params` or `size` of every choice, as in `search`.
        prefer: What is chosen of what meets a target, as in `search`.
        output: Folder of the new run; `runs/<UTC time>-s<seed>` where None, and the choice is also written as
            `./subnet.json`.
        context: Reporter and clock.

    Raises:
        InputError: A name or a file is not valid, or the run is not finished.
        CoverageError: The latency tables cover no architecture of the archive.
        TargetUnreachableError: No architecture of the archive meets a target.
        OutputError: Something cannot be written.
    """
    context = context or Context()
    started = context.clock.seconds()
    source = RunFolder.open(run)
    plan = SearchPlan.from_settings(source.settings, str(run / "run.toml"))
    archive, top1 = archive_of_run(source, plan)
    costs = read_objectives(objectives)
    used = used_devices(devices, costs, targets)
    prepare_torch(plan.threads)
    classes = len(load_classes(plan.data, reporter=context.reporter))
    width = plan.widths[0] if len(plan.widths) == 1 else None
    tables = {
        device: find_table_for_search(plan.space, device, width=width, seed=plan.seed, context=context)
        for device in used
    }
    space = covered(plan.space, tables, classes, context.reporter)
    archive, top1 = _covered_part(archive, top1, plan.space, space)
    again = dataclasses.replace(
        plan,
        resolutions=space.resolutions,
        devices=used,
        targets=tuple(dict(target) for target in targets),
        objectives=costs,
        limits=dict(limits or {}),
        prefer=prefer,
    )
    read_preference(prefer, again.minimized)
    path, settings = output or default_run_path(context.clock.now(), plan.seed), _settings(again, run)
    decider = Decider.of(
        RunFolder(path, settings),
        again,
        tables,
        costs=cost_arrays(space, tables, classes, again.minimized),
        archive=archive,
        top1=top1,
        evaluator=evaluator_of_run(source, plan, context),
        context=context,
    )
    for target in again.targets:
        rank(decider.candidates(decider.front), target, again.limits)
    decider = dataclasses.replace(decider, run=RunFolder.create(path, settings))
    return _decided(decider, tables, source=run, alias=None if output else Path("subnet.json"), started=started)


def _decided(
    decider: Decider, tables: Mapping[str, LatencyTable], *, source: Path, alias: Path | None, started: float
) -> SearchResult:
    run, plan, clock = decider.run, decider.plan, decider.context.clock
    for device, table in tables.items():
        write_table(run.tables / f"{device}.csv", table, fresh=True)
    rows = decider.write_archive()
    try:
        choices = decider.choices(alias)
    except TargetUnreachableError as error:
        raise TargetUnreachableError(error.message, hint="raise --target-latency") from error
    front = [row for row in rows if row["front"]]
    html = report_html(
        title=f"Decision from the archive of {source.name}",
        note=f"{plan.supernet} on {plan.data}, seed {plan.seed}. Nothing was trained. Top-1 of archive and front is on "
        "validation images, that of the choices on test images.",
        rows=rows,
        choices=choices,
        tables=tables,
        iterations=(),
        objectives=plan.minimized,
    )
    report = run.write_report(html)
    # Only now is it a run: one that was interrupted is simply decided again.
    run.start()
    run.record("finished", {"at": clock.now().isoformat()})
    return SearchResult(
        run=run.path,
        subnet=alias or choices[0].subnet,
        front_size=len(front),
        front=front,
        iterations=0,
        evaluations=0,
        seconds=round(clock.seconds() - started, 3),
        choices=choices,
        limits=dict(plan.limits),
        prefer=plan.prefer,
        report=report,
    )


def _settings(plan: SearchPlan, source: Path) -> dict[str, Any]:
    decided = {
        "from": str(source.resolve()),
        "resolutions": list(plan.resolutions),
        "devices": list(plan.devices),
        "targets": [dict(target) for target in plan.targets],
        "objectives": list(plan.objectives),
        "limits": dict(plan.limits),
        "prefer": plan.prefer,
        "seed": plan.seed,
    }
    return {"decided": decided}


def _covered_part(
    archive: Population, top1: Values, space: SearchSpace, covering: SearchSpace
) -> tuple[Population, Values]:
    """Return the rows whose resolution `covering` still has, as genotypes of it, and their accuracies."""
    places = np.array([covering.resolutions.index(r) if r in covering.resolutions else -1 for r in space.resolutions])
    found = places[archive[:, 0]]
    if (found < 0).all():
        kept = ", ".join(map(str, covering.resolutions))
        msg = f"no architecture of the archive has a resolution that every latency table covers ({kept})"
        raise CoverageError(msg)
    part = np.column_stack([found, archive[:, 1:]])[found >= 0]
    return part, top1[found >= 0]
