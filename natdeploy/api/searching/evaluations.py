"""Evaluation of architectures during a search. The journal records every value and every failure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.api.context import Context
from natdeploy.core.genotype import Population, decode
from natdeploy.core.space import SearchSpace
from natdeploy.errors import EvaluationError, InputError, NatdeployError
from natdeploy.io.runs import RunFolder
from natdeploy.ports import AccuracyEvaluator

Values = NDArray[np.float64]
ATTEMPTS = 3
# Errors of networks and data in a single evaluation. natdeploy's own errors are for the user and are not caught.
_FAILURES = (RuntimeError, ValueError, ArithmeticError, OSError, MemoryError)
_Key = tuple[int, tuple[int, ...]]


class Evaluations:
    """Evaluates each architecture once per stage, and continues where the journal of the run ends.

    Args:
        run: Run folder, whose journal records values and failures.
        space: Search space.
        evaluator: Returns the top-1 of an architecture.
        context: Receives progress and warnings.

    Raises:
        InputError: The journal is damaged.
    """

    def __init__(self, run: RunFolder, space: SearchSpace, evaluator: AccuracyEvaluator, context: Context) -> None:
        self._run, self._space, self._evaluator, self._context = run, space, evaluator, context
        self._values: dict[_Key, float] = {}
        self._reasons: dict[_Key, list[str]] = {}
        try:
            for event in run.events("evaluated"):
                self._values[_key(event)] = float(event["top1"])
            for event in run.events("failed"):
                self._reasons.setdefault(_key(event), []).append(str(event["reason"]))
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{run.path / 'journal.jsonl'}: the event of an evaluation is damaged: {error!r}"
            raise InputError(msg) from error

    @property
    def count(self) -> int:
        """Number of successful evaluations in this run."""
        return len(self._values)

    def count_lacking(self, stage: int, population: Population) -> int:
        """Return how many rows of a population have neither a value nor failed for good in this stage."""
        keys = [(stage, tuple(row)) for row in population.tolist()]
        return sum(key not in self._values and len(self._reasons.get(key, [])) < ATTEMPTS for key in keys)

    def top1(self, stage: int, population: Population) -> Values:
        """Return the `n` accuracies of the `n x L` array `population`; NaN for those that failed in three attempts.

        Args:
            stage: Number of the stage. In another stage the same architecture is evaluated again.
            population: Architectures.

        Raises:
            EvaluationError: All of them failed. The message gives the reason of the last failure.
        """
        values, best, name = np.full(len(population), np.nan), 0.0, f"evaluation {stage}"
        if len(population):
            self._context.reporter.progress(name, 0, len(population))
        for place, row in enumerate(population):
            value = self._evaluate(stage, row)
            if value is not None:
                values[place], best = value, max(best, value)
            self._context.reporter.progress(name, place + 1, len(population), f"best top-1 {best:.3f}")
        if len(population) and np.isnan(values).all():
            raise self._explain_failure(stage, population)
        return values

    def _evaluate(self, stage: int, row: Population) -> float | None:
        key = stage, tuple(row.tolist())
        reasons = self._reasons.setdefault(key, [])
        while key not in self._values and len(reasons) < ATTEMPTS:
            event: dict[str, Any] = {"round": stage, "genotype": row.tolist()}
            found = self._attempt(row)
            if isinstance(found, float):
                self._run.record("evaluated", {**event, "top1": found})
                self._values[key] = found
            else:
                self._run.record("failed", {**event, "reason": found})
                reasons.append(found)
                if len(reasons) == ATTEMPTS:
                    self._context.reporter.warn(f"left out after {ATTEMPTS} attempts: {_describe(row)}: {found}")
        return self._values.get(key)

    def _attempt(self, row: Population) -> float | str:
        """Return the top-1, or the reason why there is none."""
        try:
            value = float(self._evaluator.top1(decode(self._space, row)))
        except NatdeployError:
            raise
        except _FAILURES as error:
            return f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}"
        return value if 0 <= value <= 1 else f"top-1 is {value}"

    def _explain_failure(self, stage: int, population: Population) -> EvaluationError:
        reason = self._reasons[stage, tuple(population[-1].tolist())][-1]
        msg = (
            f"none of {len(population)} architectures could be evaluated, in {ATTEMPTS} attempts each; "
            f"the last one, {_describe(population[-1])}: {reason}"
        )
        return EvaluationError(msg, hint=f"every failure is in {self._run.path / 'journal.jsonl'}")


def _describe(row: Population) -> str:
    return "genotype " + " ".join(map(str, row.tolist()))


def _key(event: dict[str, Any]) -> _Key:
    return int(event["round"]), tuple(map(int, event["genotype"]))
