"""Evaluations that fail, in the journal of a run."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from natdeploy import api
from natdeploy.api.searching.evaluations import ATTEMPTS, Evaluations
from natdeploy.core.architecture import Architecture
from natdeploy.core.genotype import encode, sample
from natdeploy.errors import EvaluationError, InputError
from natdeploy.io.runs import RunFolder
from natdeploy.io.spaces import find_space
from natdeploy.ports import Reporter
from natdeploy.testing.accuracy import made_up_accuracy
from natdeploy.testing.fakes import RecordingReporter

SPACE = find_space("nat")
ROWS = sample(SPACE, 5, np.random.default_rng(0))


class Flaky:
    """An evaluator that fails a number of times at chosen genotypes; implements the port of evaluators."""

    def __init__(self, failures: dict[int, list[object]] | None = None) -> None:
        self.failures = {tuple(ROWS[place].tolist()): list(what) for place, what in (failures or {}).items()}
        self.asked: list[tuple[int, ...]] = []

    def top1(self, architecture: Architecture) -> float:
        """Fail as long as there are failures left, then tell the accuracy."""
        row = encode(SPACE, architecture)
        self.asked.append(tuple(row.tolist()))
        left = self.failures.get(self.asked[-1])
        if left:
            failure = left.pop(0)
            if isinstance(failure, BaseException):
                raise failure
            return float(failure)  # type: ignore[arg-type]
        return float(made_up_accuracy(row[None])[0])


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A new run."""
    return RunFolder.create(tmp_path / "run", {})


def evaluations(run: RunFolder, evaluator: Flaky, reporter: Reporter | None = None) -> Evaluations:
    """Return what is tested."""
    return Evaluations(run, SPACE, evaluator, api.Context(reporter=reporter or api.SilentReporter()))


def test_values_are_told_and_recorded_once(run: RunFolder) -> None:
    """Each architecture is evaluated once a stage, in another stage anew, and not at all when the journal has it."""
    evaluator = Flaky()
    first = evaluations(run, evaluator)
    np.testing.assert_allclose(first.top1(0, ROWS), made_up_accuracy(ROWS))
    np.testing.assert_allclose(first.top1(0, ROWS[:2]), made_up_accuracy(ROWS[:2]))
    assert len(evaluator.asked) == first.count == 5
    first.top1(2, ROWS[:1])
    assert len(evaluator.asked) == 6
    again = Flaky()
    np.testing.assert_allclose(evaluations(RunFolder(run.path, {}), again).top1(0, ROWS), made_up_accuracy(ROWS))
    assert again.asked == []


def test_a_failure_is_tried_again(run: RunFolder) -> None:
    """What fails once or twice gets its value nevertheless, and the failures are in the journal with their reasons."""
    evaluator = Flaky({1: [RuntimeError("out of memory\nmore"), math.nan], 3: [ValueError("odd")]})
    np.testing.assert_allclose(evaluations(run, evaluator).top1(0, ROWS), made_up_accuracy(ROWS))
    assert [event["reason"] for event in run.events("failed")] == [
        "RuntimeError: out of memory", "top-1 is nan", "ValueError: odd",
    ]  # fmt: skip
    assert len(run.events("evaluated")) == 5


@pytest.mark.parametrize("failure", [RuntimeError("broken"), math.nan, math.inf, -0.5, 7.0, OSError(), MemoryError()])
def test_what_always_fails_never_becomes_a_number(failure: object, run: RunFolder) -> None:
    """After all attempts there is no value, the others have theirs, a warning says why; the journal has no number."""
    reporter = RecordingReporter()
    found = evaluations(run, Flaky({2: [failure] * 99}), reporter).top1(0, ROWS)
    assert np.isnan(found).tolist() == [False, False, True, False, False]
    assert len(run.events("failed")) == ATTEMPTS
    assert ROWS[2].tolist() not in [event["genotype"] for event in run.events("evaluated")]
    assert len(reporter.warnings) == 1
    assert " ".join(map(str, ROWS[2])) in reporter.warnings[0]


def test_attempts_are_counted_over_interruptions(run: RunFolder) -> None:
    """A run that goes on makes the attempts that are left, and none where there are none."""
    failing = Flaky({0: [RuntimeError("first"), KeyboardInterrupt()]})
    with pytest.raises(KeyboardInterrupt):
        evaluations(run, failing).top1(0, ROWS)
    evaluator = Flaky({0: [RuntimeError("again")] * 99})
    found = evaluations(RunFolder(run.path, {}), evaluator).top1(0, ROWS)
    assert np.isnan(found[0])
    assert evaluator.asked.count(tuple(ROWS[0].tolist())) == ATTEMPTS - 1
    last = Flaky()
    assert np.isnan(evaluations(RunFolder(run.path, {}), last).top1(0, ROWS)[0])
    assert last.asked == []


def test_when_everything_fails_there_is_one_error(run: RunFolder) -> None:
    """It says how many were tried, why the last one failed, and where all failures are."""
    evaluator = Flaky({place: [RuntimeError("no weights")] * 99 for place in range(5)})
    with pytest.raises(EvaluationError, match=r"none of 5 .* 3 attempts each.*RuntimeError: no weights") as refused:
        evaluations(run, evaluator).top1(0, ROWS)
    assert "journal.jsonl" in str(refused.value.hint)
    assert evaluations(run, Flaky()).top1(1, ROWS[:0]).tolist() == []


def test_errors_for_the_user_are_not_failures(run: RunFolder) -> None:
    """A damaged image, for instance, ends the search at once with its own message."""
    with pytest.raises(InputError, match=r"cat\.png"):
        evaluations(run, Flaky({0: [InputError("cat.png: not an image")]})).top1(0, ROWS)
    assert run.events("failed") == []


@pytest.mark.parametrize("event", [{"round": 0}, {"round": 0, "genotype": [1], "top1": "much"}])
def test_a_damaged_event_is_refused(event: dict[str, object], run: RunFolder) -> None:
    """A journal whose evaluations cannot be read is refused by its name."""
    (run.path / "journal.jsonl").write_text(json.dumps({"event": "evaluated", **event}) + "\n")
    with pytest.raises(InputError, match=r"journal\.jsonl: the event of an evaluation is damaged"):
        evaluations(RunFolder(run.path, {}), Flaky())
