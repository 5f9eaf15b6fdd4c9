"""Checks the journal of a search before it is believed: a run may come from someone else, or may have been edited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from natdeploy.api.searching.plan import SearchPlan
from natdeploy.core.genotype import explain_unfit_genotype
from natdeploy.errors import InputError
from natdeploy.io.runs import RunFolder
from natdeploy.io.validation import find_fault

_HINT = "the journal has been edited or damaged: take a copy that was not, or start a new run"
_Top1 = Annotated[float, Field(ge=0, le=1)]
_Round = Annotated[int, Field(ge=0)]
_AboveZero = Annotated[float, Field(gt=0)]
_Figure = float | None
_Genotype = list[int]


class _Event(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    event: str


class _Evaluated(_Event):
    round: _Round
    genotype: _Genotype
    top1: _Top1


class _Failed(_Event):
    round: _Round
    genotype: _Genotype
    reason: str


class _Proposed(_Event):
    iteration: _Round
    genotypes: list[_Genotype]
    predicted: list[float]


class _Iteration(_Event):
    iteration: _Round
    predictor: str = "-"
    best_top1: _Top1
    best_within: list[_Top1 | None]
    hypervolume: float
    reference: dict[str, float]
    rmse: _Figure = None
    spearman: _Figure = None
    kendall: _Figure = None


class _Measured(_Event):
    device: str
    genotype: _Genotype
    median_ms: _AboveZero
    level: _AboveZero | None = None


class _Tested(_Event):
    genotype: _Genotype
    top1: _Top1


class _Finished(_Event):
    at: str


_KINDS: Mapping[str, type[_Event]] = {
    "evaluated": _Evaluated,
    "failed": _Failed,
    "proposed": _Proposed,
    "iteration": _Iteration,
    "measured": _Measured,
    "tested": _Tested,
    "finished": _Finished,
}


def check_journal(run: RunFolder, plan: SearchPlan) -> None:
    """Check that the journal of a search can be what the search has written.

    Args:
        run: Folder of the search.
        plan: Plan of the search.

    Raises:
        InputError: An event is unknown, lacks a key, holds a value out of its range or an architecture that is not in
            the space, or contradicts another event. The message names file and line.
    """
    checks = _Checks(plan)
    for number, event in enumerate(run.all_events, start=1):
        for fault in checks.find_faults(event):
            msg = f"{run.journal}, line {number}: {fault}"
            raise InputError(msg, hint=_HINT)


class _Checks:
    def __init__(self, plan: SearchPlan) -> None:
        self._space, self._devices = plan.space, plan.goal.all_devices
        self._iterations = plan.preset.search.iterations
        self._proposed: dict[int, list[_Genotype]] = {}
        self._top1: dict[tuple[Any, ...], float] = {}

    def find_faults(self, event: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with the next event."""
        kind = _KINDS.get(str(event.get("event")))
        if kind is None:
            yield f"unknown event {str(event.get('event'))[:60]!r}"
            return
        try:
            kind.model_validate(event)
        except ValidationError as error:
            yield str(find_fault(error, event))
            return
        for genotype in event.get("genotypes", [event["genotype"]] if "genotype" in event else []):
            reason = explain_unfit_genotype(self._space, genotype)
            if reason is not None:
                yield f"not an architecture of {self._space.name}: {reason}"
        yield from self._find_contradictions(event)

    def _find_contradictions(self, event: Mapping[str, Any]) -> Iterator[str]:
        if event.get("device") not in (None, *self._devices):
            yield f"device {event['device'][:60]!r} is not one of the run"
        if event.get("iteration", 0) > self._iterations or event.get("round", 0) > 2 * self._iterations:
            yield f"the run has {self._iterations} iterations, and this is beyond them"
        if event["event"] == "proposed":
            yield from self._keep_proposed(event)
        elif event["event"] in {"evaluated", "tested"}:
            yield from self._keep_top1(event)
        if event.get("round", 0) % 2 and event["genotype"] not in self._proposed.get((event["round"] + 1) // 2, []):
            yield "this architecture was not proposed in its iteration"

    def _keep_proposed(self, event: Mapping[str, Any]) -> Iterator[str]:
        if len(event["predicted"]) != len(event["genotypes"]):
            yield f"{len(event['genotypes'])} genotypes have {len(event['predicted'])} predicted values"
        if self._proposed.setdefault(event["iteration"], event["genotypes"]) != event["genotypes"]:
            yield f"iteration {event['iteration']} has proposed other architectures before"

    def _keep_top1(self, event: Mapping[str, Any]) -> Iterator[str]:
        key = event["event"], event.get("round"), *event["genotype"]
        if self._top1.setdefault(key, event["top1"]) != event["top1"]:
            yield f"the same architecture has top-1 {self._top1[key]} before"


def list_last_evaluations(run: RunFolder, plan: SearchPlan) -> list[tuple[Sequence[int], float]]:
    """Return genotype and top-1 of every evaluation in the last round of a search, in their order."""
    last = 2 * plan.preset.search.iterations
    return [(event["genotype"], event["top1"]) for event in run.events("evaluated") if event["round"] == last]
