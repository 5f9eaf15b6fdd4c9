"""What every search checks of its space, tables and targets before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from natdeploy.core.architecture import Architecture
from natdeploy.core.genotype import decode
from natdeploy.core.latency import ESTIMATED, LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.errors import CoverageError, TargetUnreachableError
from natdeploy.ports import Reporter

Targets = Sequence[Mapping[str, float]]


def covered(space: SearchSpace, tables: Mapping[str, LatencyTable], classes: int, reporter: Reporter) -> SearchSpace:
    """Return `space` with the resolutions that every table covers; the others are named.

    Raises:
        CoverageError: None is.
    """
    by_table = [set(table.find_covered_resolutions(space, classes)) for table in tables.values()]
    kept = tuple(r for r in space.resolutions if all(r in resolutions for resolutions in by_table))
    left_out = [r for r in space.resolutions if r not in kept]
    if not kept:
        for table in tables.values():
            table.compile(space, classes)
        msg = f"no resolution of {list(space.resolutions)} is covered by the tables of all of {', '.join(tables)}"
        raise CoverageError(msg)
    if left_out:
        reporter.warn(f"resolutions {', '.join(map(str, left_out))} are left out: a latency table does not cover them")
    return space.with_resolutions(kept)


def require_reachable(space: SearchSpace, tables: Mapping[str, LatencyTable], classes: int, targets: Targets) -> None:
    """Check that the cheapest architecture meets every target.

    Raises:
        TargetUnreachableError: It does not; the message says how much it takes.
    """
    for device, target_ms in ((device, ms) for target in targets for device, ms in target.items()):
        table = tables[device]
        genotype, latency_ms = table.compile(space, classes).cheapest(space)
        upper_ms = latency_ms * table.upper_ratio
        if upper_ms > target_ms:
            marked = f" ({ESTIMATED})" if table.provenance == ESTIMATED else ""
            msg = (
                f"no architecture of {space.name} meets {target_ms:g} ms on {device}; "
                f"the nearest takes {upper_ms:.3g} ms{marked}: {_describe(decode(space, genotype))}"
            )
            hint = "raise --target-latency, or search smaller networks with --resolutions"
            raise TargetUnreachableError(msg, hint=hint)


def _describe(architecture: Architecture) -> str:
    choice = architecture.to_json()
    return f"r {choice['r']}, w {choice['w']:g}, d {choice['d']}"
