"""What people read about measured latencies: the level of the machine, and what disturbed."""

from __future__ import annotations

import dataclasses

import pytest

from natdeploy.api.latency.levels import Level
from natdeploy.api.latency.results import MeasureResult
from natdeploy.api.searching.results import DeviceLatency
from natdeploy.cli import measure_command, search_command
from natdeploy.core.latency import LatencyStats
from natdeploy.core.timed import Disturbance

STATS = LatencyStats(median_ms=2.0, p10_ms=1.9, p90_ms=2.2, mean_ms=2.0, std_ms=0.1, runs=9)
MEASURED = MeasureResult(
    device="host",
    runtime="onnxruntime",
    stats=STATS,
    level=Level(value=0.8),
    disturbance=Disturbance(others=0.3, steal=0.0, lost=0.0),
)


def test_a_measurement_tells_level_and_disturbance(capsys: pytest.CaptureFixture[str]) -> None:
    """The raw figure comes first, then the levelled one with the level, then what disturbed."""
    measure_command.show(MEASURED)
    raw, levelled, disturbed = capsys.readouterr().out.splitlines()
    assert raw.startswith("2 ms on host with onnxruntime")
    assert levelled.startswith("1.6 ms levelled, to compare with predictions: the device now has 0.80 of the speed")
    assert "30 %" in disturbed
    document = MEASURED.to_json()
    assert (document["level"], document["levelled_ms"], document["median_ms"]) == (0.8, pytest.approx(1.6), 2.0)
    assert document["disturbance"] == {"others": 0.3, "steal": 0.0, "lost": 0.0, "excess": 0.0}


def test_what_is_not_known_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a level and without counters, a line for each says so; no figure is made up."""
    unknown = dataclasses.replace(MEASURED, level=Level(value=None, reason="there is no table"), disturbance=None)
    measure_command.show(unknown)
    _, levelled, disturbed = capsys.readouterr().out.splitlines()
    assert "no level: there is no table" in levelled
    assert "is not known" in disturbed
    assert unknown.to_json()["levelled_ms"] is None
    assert unknown.comparable_ms == 2.0


def test_a_choice_tells_what_it_was_levelled_from() -> None:
    """Beside the levelled figure stand the raw one and the level, or that there is none."""
    choice = DeviceLatency(
        predicted=1.5, upper=1.7, measured=1.6, raw=2.0, level=0.8, provenance="measured", runtime="onnxruntime"
    )
    assert search_command.describe_level(choice) == (
        "levelled: it ran 2 ms, at 0.80 of the speed when its table was made"
    )
    assert "not levelled" in search_command.describe_level(dataclasses.replace(choice, level=None))
