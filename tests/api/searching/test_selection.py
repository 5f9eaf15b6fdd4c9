"""The choice for a target where the device can be reached: whole networks are measured."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from natdeploy import api
from natdeploy.api.latency.levels import Level, LevelledTimes
from natdeploy.api.searching import selection
from natdeploy.api.searching.selection import Archive, Selector
from natdeploy.core.device import Deployment
from natdeploy.core.genotype import drop_duplicates, sample
from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import Layer
from natdeploy.errors import InputError, TargetUnreachableError
from natdeploy.io.runs import RunFolder
from natdeploy.io.spaces import find_space
from natdeploy.search.objectives import read_preference
from natdeploy.search.problem import SearchGoal, SearchProblem
from natdeploy.testing.accuracy import made_up_accuracy
from natdeploy.testing.tables import made_up_table

SPACE = find_space("starter")
TABLE = made_up_table(SPACE)
ARCHIVE = drop_duplicates(sample(SPACE, 200, np.random.default_rng(0)))
LATENCY = TABLE.compile(SPACE, 10)(ARCHIVE)
TOP1 = made_up_accuracy(ARCHIVE)


class Meter:
    """Times networks in place of this machine: each takes a constant factor of what the table says, over the level."""

    def __init__(self, factor: float, level: float | None = None) -> None:
        self.factor = factor
        self.level = level
        self.measured = 0

    def __call__(self, _: Deployment, networks: Sequence[tuple[Layer, ...]], **options: object) -> LevelledTimes:
        """Return the table's latencies, scaled."""
        self.measured += len(networks)
        values = [self.factor * TABLE.predict(layers).latency_ms / (self.level or 1.0) for layers in networks]
        return LevelledTimes(
            stats=tuple(LatencyStats(median_ms=v, p10_ms=v, p90_ms=v, mean_ms=v, std_ms=0.0, runs=1) for v in values),
            level=Level(value=self.level, reason="made up"),
            disturbance=None,
        )


@pytest.fixture
def selector(tmp_path: Path) -> Selector:
    """A selector from random architectures for this machine."""
    goal = SearchGoal(objectives=("latency:host",))
    return Selector(
        problem=SearchProblem(space=SPACE, classes=10, goal=goal, tables={"host": TABLE}),
        archive=Archive(genotypes=ARCHIVE, top1=TOP1),
        run=RunFolder.create(tmp_path / "run", {"search": {}}),
        seed=0,
        context=api.Context(),
    )


def select(
    selector: Selector, limit_ms: float, factor: float, patch: pytest.MonkeyPatch, *, level: float | None = None
) -> tuple[int, Meter]:
    """Return the place that is selected, and the meter."""
    meter = Meter(factor, level)
    patch.setattr(selection, "time_networks", meter)
    place, measured = selector.select({"host": limit_ms})
    assert measured["host"].comparable_ms == pytest.approx(factor * LATENCY[place])
    return place, meter


def test_the_first_that_meets_the_target_is_taken(selector: Selector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the table is right, one network is measured: the most accurate within the target."""
    limit_ms = float(np.median(LATENCY))
    place, meter = select(selector, limit_ms, 1.0, monkeypatch)
    assert TOP1[place] == TOP1[limit_ms >= LATENCY].max()
    assert meter.measured == 1


@pytest.mark.parametrize("factor", [1.05, 1.3])
def test_what_was_measured_corrects_the_choice(
    factor: float, selector: Selector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all networks are slower than predicted, the second one is the most accurate that is quick enough."""
    limit_ms = float(LATENCY[selector.front[-2]])
    place, meter = select(selector, limit_ms, factor, monkeypatch)
    assert factor * LATENCY[place] <= limit_ms
    assert TOP1[place] == TOP1[factor * LATENCY <= limit_ms].max()
    assert meter.measured == 2
    again, second = select(selector, limit_ms, factor, monkeypatch)
    assert (again, second.measured) == (place, 0)


def test_a_quicker_device_than_predicted_gets_a_more_accurate_network(
    selector: Selector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all networks are quicker than predicted, the choice goes on to the most accurate that meets the target."""
    limit_ms = float(np.median(LATENCY))
    place, meter = select(selector, limit_ms, 0.7, monkeypatch)
    assert TOP1[place] == TOP1[limit_ms >= 0.7 * LATENCY].max()
    assert TOP1[place] > TOP1[limit_ms >= LATENCY].max()
    assert meter.measured == 2


@pytest.mark.parametrize("level", [0.7, 1.4])
def test_the_level_of_the_machine_does_not_move_the_choice(
    level: float, selector: Selector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is slower or faster than when its table was made selects the same network; both figures are told.

    A resumed search reads them from the journal.
    """
    limit_ms = float(np.median(LATENCY))
    place, meter = select(selector, limit_ms, 1.0, monkeypatch, level=level)
    assert TOP1[place] == TOP1[limit_ms >= LATENCY].max()
    assert meter.measured == 1
    again, second = select(selector, limit_ms, 1.0, monkeypatch, level=level)
    assert (again, second.measured) == (place, 0)
    (told,) = selector.latencies(place, selector.measure(ARCHIVE[place])).values()
    assert told.measured == pytest.approx(LATENCY[place])
    assert told.raw == pytest.approx(LATENCY[place] / level)
    assert told.level == level


def test_when_nothing_is_quick_enough_the_last_one_is_named(
    selector: Selector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every network is measured to be too slow, the error tells what the last one took, and how to go on."""
    with pytest.raises(TargetUnreachableError, match="the last one that was measured takes") as refused:
        select(selector, 1.5 * float(LATENCY.min()), 10.0, monkeypatch)
    assert "natdeploy extract" in str(refused.value.hint)
    other = RunFolder.create(selector.run.path / "other", {"surrogate_search": {}})
    untrained = dataclasses.replace(selector, run=other)
    with pytest.raises(TargetUnreachableError) as refused:
        select(untrained, 1.5 * float(LATENCY.min()), 10.0, monkeypatch)
    assert refused.value.hint == "search again with a larger --target-latency"


def test_a_target_that_the_table_excludes_is_not_measured(selector: Selector, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no prediction meets is refused without measuring anything."""
    meter = Meter(1.0)
    monkeypatch.setattr(selection, "time_networks", meter)
    with pytest.raises(TargetUnreachableError, match="the nearest takes"):
        selector.select({"host": 0.9 * float(LATENCY.min())})
    assert meter.measured == 0


def test_a_preference_chooses_among_what_meets_the_target(selector: Selector, monkeypatch: pytest.MonkeyPatch) -> None:
    """By trade-off or by weights another architecture than the most accurate is chosen, still within the target."""
    limit_ms = float(np.quantile(LATENCY, 0.8))
    places = {}
    for prefer in ("accuracy", "trade-off", "top1=1,latency:host=3", "top1=1"):
        goal = dataclasses.replace(selector.problem.goal, prefer=prefer)
        own = dataclasses.replace(selector, problem=dataclasses.replace(selector.problem, goal=goal))
        places[prefer], _ = select(own, limit_ms, 1.0, monkeypatch)
        assert LATENCY[places[prefer]] <= limit_ms
        assert places[prefer] in own.front
    assert places["top1=1"] == places["accuracy"]
    assert LATENCY[places["top1=1,latency:host=3"]] < LATENCY[places["accuracy"]]


@pytest.mark.parametrize(
    ("prefer", "reason"),
    [
        ("tradeoff", "unknown objective of a preference 'tradeoff'"),
        ("madds=1", "unknown objective of a preference 'madds'"),
        ("top1=0", "a weight must be a number above 0"),
        ("top1", "a weight must be a number above 0"),
        ("top1=nan", "a weight must be a number above 0"),
    ],
)
def test_preferences_that_mean_nothing_are_refused(prefer: str, reason: str) -> None:
    """A preference names objectives of the front, each with a weight over 0."""
    with pytest.raises(InputError, match=reason):
        read_preference(prefer, ("latency:host",))
