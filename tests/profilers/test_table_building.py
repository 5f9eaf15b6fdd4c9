"""Profiling this machine for real over a small space, going on after a kill, and estimating boards."""

from __future__ import annotations

import dataclasses
import json

import pytest

from natdeploy.api.context import SystemClock
from natdeploy.core.cost import space_layers
from natdeploy.core.device import Deployment, TableSelector, find_deployment
from natdeploy.core.latency import CLASSIFIER_COUNTS
from natdeploy.errors import InputError
from natdeploy.export.onnx import OnnxExporter
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.io.tables import format_table, parse_table
from natdeploy.profilers.budget import Budget
from natdeploy.profilers.roofline import estimate_table
from natdeploy.profilers.setup import ProfilingSetup
from natdeploy.profilers.table_building import profile_device
from natdeploy.profilers.timing import Timing
from natdeploy.runtimes.agent import make_fingerprint
from natdeploy.runtimes.onnx_runtime import OnnxRuntime
from natdeploy.testing.choices import with_choices
from natdeploy.testing.fakes import RecordingReporter
from tests.support.host_timer import host_timer

TIMING = Timing(rounds=10, max_rounds=14, processes=1, settle_s=0.002, round_s=0.002)
SPACE = with_choices(
    dataclasses.replace(find_space("starter"), name="tiny", resolutions=(32, 48)),
    kernels=(3,),
    expand_ratios=(3, 4),
    depths=(1, 2),
)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Return this machine's description."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    return find_device("host")


def stop_before(number):
    """Return what stops the work before the step of this number, as a user does."""

    def stop(step):
        if step.done == number:
            raise KeyboardInterrupt

    return stop


def profiled(space, folder, *, deployment=None, reporter=None, budget=None, validation_networks=20, **options):
    """Profile this machine."""
    deployment = deployment or find_deployment(find_device("host"))
    options = {"existing": None, **options}
    with host_timer(timing=TIMING, profile_runs=12) as timer:
        setup = ProfilingSetup(
            timer=timer,
            exporter=OnnxExporter(),
            clock=SystemClock(),
            reporter=reporter or RecordingReporter(),
            seed=0,
            budget=budget,
            validation_networks=validation_networks,
        )
        return profile_device(space, deployment, setup, journal=folder / "rows.jsonl", **options)


@pytest.fixture(scope="module")
def reporter():
    """Return what kept the messages of the real table's profile."""
    return RecordingReporter()


@pytest.fixture(scope="module")
def table(tmp_path_factory, reporter):
    """Return a real table of the small space."""
    folder = tmp_path_factory.mktemp("profile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NATDEPLOY_HOME", str(folder))
        return profiled(SPACE, folder, validation_networks=5, reporter=reporter)


def test_a_profile_covers_the_space_and_says_how_it_came_about(table, reporter):
    """Every layer has a row; version, machine, conditions, errors and interval are recorded."""
    assert table.find_covered_resolutions(SPACE, 10) == SPACE.resolutions
    wanted = {layer for r in SPACE.resolutions for layer in space_layers(SPACE, 0.5, r, CLASSIFIER_COUNTS)}
    assert set(table.rows) == wanted
    assert (table.provenance, table.method) == ("measured", "in-context")
    assert table.fingerprint == make_fingerprint(OnnxRuntime().version())
    assert table.conditions["timing"] == {**dataclasses.asdict(TIMING), "profiled_runs": 12}
    assert (table.validation.networks, table.random_validation.networks, table.latency_correction.networks) == (5, 2, 7)
    noise_percent = table.conditions["noise_floor_percent"]
    assert any(
        message.startswith(f"two timings of one network differ by {noise_percent:.2f} %") for message in reporter.said
    )
    assert parse_table(format_table(table), "table.csv") == table


def test_a_profile_finds_the_larger_networks_slower(table):
    """Measured sums rank whole networks as they are when really run."""
    assert table.validation.kendall_tau > 0.5
    assert table.compile(SPACE, 10).fixed[0, 1] > table.compile(SPACE, 10).fixed[0, 0]


def test_a_complete_table_is_not_measured_again(table, host, tmp_path):
    """With nothing to add, the existing table is the result."""
    reporter = RecordingReporter()
    assert profiled(SPACE, tmp_path, existing=table, reporter=reporter) is table
    assert reporter.details == []


def test_the_check_alone_can_be_repeated(table, host, tmp_path):
    """Nothing is measured where nothing is missing, unless the check is asked for: it leaves the rows as they are."""
    assert profiled(SPACE, tmp_path, existing=table, validation_networks=5) is table
    reporter = RecordingReporter()
    found = profiled(SPACE, tmp_path, existing=table, recheck=True, reporter=reporter, validation_networks=4)
    assert reporter.details == []
    assert found.rows == table.rows
    assert found.validation.networks == 4


def test_only_missing_rows_are_added(table, host, tmp_path):
    """A new resolution is measured; rows that exist keep their figures."""
    reporter = RecordingReporter()
    wider = SPACE.with_resolutions((32, 40, 48))
    found = profiled(wider, tmp_path, existing=table, reporter=reporter, validation_networks=0)
    assert reporter.details == ["width 0.5, resolution 40"]
    assert {layer: found.rows[layer] for layer in table.rows} == table.rows
    assert found.find_covered_resolutions(wider, 10) == wider.resolutions
    assert (found.validation, found.latency_correction) == (None, None)


def test_an_interrupted_profile_goes_on_where_it_stopped(host, tmp_path):
    """The finished resolution comes from the journal and is not measured twice."""
    with pytest.raises(KeyboardInterrupt):
        profiled(SPACE, tmp_path, reporter=RecordingReporter(stop_before(1)), validation_networks=0)
    kept = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    reporter = RecordingReporter()
    table = profiled(SPACE, tmp_path, reporter=reporter, validation_networks=0)
    assert reporter.details == ["width 0.5, resolution 48"]
    first = {json.dumps(row["layer"], sort_keys=True): row["stats"]["median_ms"] for row in kept[1]["rows"]}
    ratios = [
        stats.median_ms / first[json.dumps(dataclasses.asdict(layer), sort_keys=True)]
        for layer, stats in table.rows.items()
        if json.dumps(dataclasses.asdict(layer), sort_keys=True) in first and stats.median_ms > 0.01
    ]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-3)


def test_a_budget_leaves_out_what_it_cannot_reach(tmp_path):
    """What it reached is a table with its error; the rest is named, and measured by the next call."""
    reporter = RecordingReporter()
    budget = Budget(0.5, SystemClock())
    table = profiled(SPACE, tmp_path, reporter=reporter, budget=budget, validation_networks=4)
    assert table.find_covered_resolutions(SPACE, 10) == (48,)
    assert table.validation.networks == 4
    assert any("did not reach width 0.5 at 32" in message for message in reporter.said)
    (tmp_path / "rows.jsonl").unlink()
    whole = profiled(SPACE, tmp_path, existing=table, validation_networks=0)
    assert whole.find_covered_resolutions(SPACE, 10) == SPACE.resolutions
    assert {layer: whole.rows[layer] for layer in table.rows} == table.rows


def test_fresh_measures_everything_anew_but_once(table, host, tmp_path):
    """A fresh profile ignores table and finished journal, and goes on behind an interrupted fresh one."""
    with pytest.raises(KeyboardInterrupt):
        profiled(SPACE, tmp_path, existing=table, fresh=True, reporter=RecordingReporter(stop_before(1)))
    again, after = RecordingReporter(), RecordingReporter(stop_before(0))
    profiled(SPACE, tmp_path, existing=table, fresh=True, reporter=again, validation_networks=0)
    assert again.details == ["width 0.5, resolution 48"]
    with pytest.raises(KeyboardInterrupt):
        profiled(SPACE, tmp_path, fresh=True, reporter=after)


def test_a_table_of_another_machine_is_not_added_to(table, host, tmp_path):
    """The warning names the machine, and everything is measured anew."""
    foreign = dataclasses.replace(table, fingerprint="another machine")
    reporter = RecordingReporter(stop_before(0))
    with pytest.raises(KeyboardInterrupt):
        profiled(SPACE, tmp_path, existing=foreign, reporter=reporter)
    assert any("another machine" in message for message in reporter.said)


def test_measurements_do_not_go_into_estimates(table, host, tmp_path):
    """Another provenance is refused on both ways, with the option that allows it."""
    with pytest.raises(InputError, match="estimated latencies") as caught:
        profiled(SPACE, tmp_path, existing=dataclasses.replace(table, provenance="estimated"))
    assert "--fresh" in str(caught.value.hint)
    nano = find_device("jetson-nano")
    with pytest.raises(InputError, match="measured latencies"):
        estimate_table(SPACE, nano, find_deployment(nano), table, clock=SystemClock())


@pytest.mark.parametrize("options", [{"precision": "int8"}, {"batch": 4}])
def test_what_the_method_cannot_measure_is_refused(host, tmp_path, options):
    """Other precisions and batches are named in the refusal."""
    with pytest.raises(InputError, match="cannot be measured layer by layer"):
        profiled(SPACE, tmp_path, deployment=find_deployment(host, TableSelector(**options)))


def test_an_estimate_covers_the_space_without_claiming_anything(host):
    """No interval, no validation, no machine: nothing was run."""
    nano = find_device("jetson-nano")
    table = estimate_table(SPACE, nano, find_deployment(nano), None, clock=SystemClock())
    assert table.find_covered_resolutions(SPACE, 10) == SPACE.resolutions
    assert (table.provenance, table.method) == ("estimated", "roofline")
    assert (table.validation, table.latency_correction, table.fingerprint, table.runtime_version) == (None,) * 4
    assert parse_table(format_table(table), "table.csv") == table


def test_an_estimate_adds_missing_rows_only(host):
    """The existing table is returned where it is complete, and added to where it is not."""
    nano = find_device("jetson-nano")
    table = estimate_table(SPACE, nano, find_deployment(nano), None, clock=SystemClock())
    assert estimate_table(SPACE, nano, find_deployment(nano), table, clock=SystemClock()) is table
    wider = estimate_table(SPACE.with_resolutions((40,)), nano, find_deployment(nano), table, clock=SystemClock())
    assert wider.find_covered_resolutions(SPACE.with_resolutions((32, 40, 48)), 10) == (32, 40, 48)


def test_what_cannot_be_estimated_is_refused(host):
    """A device without figures, and figures for another use, give no estimate."""
    nano = find_device("jetson-nano")
    with pytest.raises(InputError, match="can only be measured"):
        estimate_table(SPACE, host, find_deployment(host), None, clock=SystemClock())
    with pytest.raises(InputError, match="no peak rate is known for precision int8"):
        estimate_table(SPACE, nano, find_deployment(nano, TableSelector(precision="int8")), None, clock=SystemClock())
    several = Deployment(device=nano.name, runtime=nano.runtime, precision="fp16", batch=8, threads=1)
    with pytest.raises(InputError, match="numbers of jetson-nano are for batch 1"):
        estimate_table(SPACE, nano, several, None, clock=SystemClock())
