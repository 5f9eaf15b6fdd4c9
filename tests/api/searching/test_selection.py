"""The choice for a target where the device can be reached: whole networks are measured."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from natdeploy import api
from natdeploy.api.searching import selection
from natdeploy.api.searching.selection import Chooser
from natdeploy.core.genotype import distinct, sample
from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import Layer
from natdeploy.core.space import SPACES
from natdeploy.errors import InputError, TargetUnreachableError
from natdeploy.io.runs import RunFolder
from natdeploy.search.objectives import cost_arrays, read_preference
from natdeploy.testing.accuracy import made_up_accuracy
from natdeploy.testing.tables import made_up_table

SPACE = SPACES["starter"]
TABLE = made_up_table(SPACE)
ARCHIVE = distinct(sample(SPACE, 200, np.random.default_rng(0)))
LATENCY = TABLE.compile(SPACE, 10)(ARCHIVE)


class Meter:
    """A meter by which every network takes a constant factor of what the table says."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.measured = 0

    def measure(self, networks: Sequence[tuple[Layer, ...]]) -> list[LatencyStats]:
        """Return the table's latencies, scaled."""
        self.measured += len(networks)
        values = [self.factor * TABLE.predict(layers).latency_ms for layers in networks]
        return [LatencyStats(median_ms=v, p10_ms=v, p90_ms=v, mean_ms=v, std_ms=0.0, runs=1) for v in values]


@pytest.fixture
def chooser(tmp_path: Path) -> Chooser:
    """A chooser from random architectures for this machine."""
    run = RunFolder.create(tmp_path / "run", {})
    return Chooser(
        run=run,
        space=SPACE,
        classes=10,
        seed=0,
        tables={"host": TABLE},
        costs=cost_arrays(SPACE, {"host": TABLE}, 10, ()),
        objectives=("latency:host",),
        limits={},
        archive=ARCHIVE,
        top1=made_up_accuracy(ARCHIVE),
        context=api.Context(),
    )


def choose(chooser: Chooser, target_ms: float, factor: float, patch: pytest.MonkeyPatch) -> tuple[int, Meter]:
    """Return the place that is chosen, and the meter."""
    meter = Meter(factor)
    patch.setattr(selection, "make_host_meter", lambda *_, **__: meter)
    place, measured = chooser.choose_place({"host": target_ms})
    assert measured["host"] == pytest.approx(factor * LATENCY[place])
    return place, meter


def test_the_first_that_meets_the_target_is_taken(chooser: Chooser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the table is right, one network is measured: the most accurate within the target."""
    target_ms = float(np.median(LATENCY))
    place, meter = choose(chooser, target_ms, 1.0, monkeypatch)
    assert chooser.top1[place] == chooser.top1[target_ms >= LATENCY].max()
    assert meter.measured == 1


@pytest.mark.parametrize("factor", [1.05, 1.3])
def test_what_was_measured_corrects_the_choice(
    factor: float, chooser: Chooser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all networks are slower than predicted, the second one is the most accurate that is quick enough."""
    target_ms = float(LATENCY[chooser.front[-2]])
    place, meter = choose(chooser, target_ms, factor, monkeypatch)
    assert factor * LATENCY[place] <= target_ms
    assert chooser.top1[place] == chooser.top1[factor * LATENCY <= target_ms].max()
    assert meter.measured == 2
    again, second = choose(chooser, target_ms, factor, monkeypatch)
    assert (again, second.measured) == (place, 0)


def test_a_quicker_device_than_predicted_gets_a_more_accurate_network(
    chooser: Chooser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all networks are quicker than predicted, the choice goes on to the most accurate that meets the target."""
    target_ms = float(np.median(LATENCY))
    place, meter = choose(chooser, target_ms, 0.7, monkeypatch)
    assert chooser.top1[place] == chooser.top1[target_ms >= 0.7 * LATENCY].max()
    assert chooser.top1[place] > chooser.top1[target_ms >= LATENCY].max()
    assert meter.measured == 2


def test_when_nothing_is_quick_enough_the_last_one_is_named(chooser: Chooser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every network is measured to be too slow, the error tells what the last one took, and how to go on."""
    with pytest.raises(TargetUnreachableError, match="when it is measured; the last one tried takes") as refused:
        choose(chooser, 1.5 * float(LATENCY.min()), 10.0, monkeypatch)
    assert "natdeploy extract" in str(refused.value.hint)
    untrained = dataclasses.replace(chooser, run=RunFolder.create(chooser.run.path / "other", {"training_free": {}}))
    with pytest.raises(TargetUnreachableError) as refused:
        choose(untrained, 1.5 * float(LATENCY.min()), 10.0, monkeypatch)
    assert refused.value.hint == "search again with a larger --target-latency"


def test_a_target_that_the_table_excludes_is_not_measured(chooser: Chooser, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no prediction meets is refused without measuring anything."""
    meter = Meter(1.0)
    monkeypatch.setattr(selection, "make_host_meter", lambda *_, **__: meter)
    with pytest.raises(TargetUnreachableError, match="the nearest takes"):
        chooser.choose_place({"host": 0.9 * float(LATENCY.min())})
    assert meter.measured == 0


def test_a_preference_chooses_among_what_meets_the_target(chooser: Chooser, monkeypatch: pytest.MonkeyPatch) -> None:
    """By trade-off or by weights another architecture than the most accurate is chosen, still within the target."""
    target_ms = float(np.quantile(LATENCY, 0.8))
    places = {}
    for prefer in ("accuracy", "trade-off", "top1=1,latency:host=3", "top1=1"):
        own = dataclasses.replace(chooser, prefer=prefer)
        places[prefer], _ = choose(own, target_ms, 1.0, monkeypatch)
        assert LATENCY[places[prefer]] <= target_ms
        assert places[prefer] in own.front
    assert places["top1=1"] == places["accuracy"]
    assert LATENCY[places["top1=1,latency:host=3"]] < LATENCY[places["accuracy"]]


@pytest.mark.parametrize(
    ("prefer", "reason"),
    [
        ("tradeoff", "unknown objective of a preference 'tradeoff'"),
        ("madds=1", "unknown objective of a preference 'madds'"),
        ("top1=0", "a weight is a number over 0"),
        ("top1", "a weight is a number over 0"),
        ("top1=nan", "a weight is a number over 0"),
    ],
)
def test_preferences_that_mean_nothing_are_refused(prefer: str, reason: str) -> None:
    """A preference names objectives of the front, each with a weight over 0."""
    with pytest.raises(InputError, match=reason):
        read_preference(prefer, ("latency:host",))
