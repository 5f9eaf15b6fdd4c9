"""Estimated latencies: packaged for some boards and phones, made for others, and called estimated by every command."""

from __future__ import annotations

import os

import pytest

from natdeploy import api, cli
from natdeploy.api.context import SystemClock
from natdeploy.api.latency.lookup import find_table_for_search
from natdeploy.cli import search_command
from natdeploy.core.device import find_deployment
from natdeploy.errors import DeviceUnreachableError, InputError, TargetUnreachableError
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.io.table_store import find_table, table_path
from natdeploy.io.tables import read_table, write_table
from natdeploy.profilers.roofline import estimate_table
from natdeploy.search.problem import SearchGoal, SearchProblem
from natdeploy.testing.fakes import RecordingReporter
from natdeploy.testing.tables import made_up_table
from tests.support.stand_ins import write_adb_stand_in

PACKAGED = ("jetson-nano", "jetson-orin-nano", "pixel-8", "raspberry-pi-5")
ENCODING = "08011001440551052208877"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Give the user an empty home folder."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def reporter():
    """Return a reporter that keeps what it is told."""
    return RecordingReporter()


def at(*resolutions):
    """Return the starter at some resolutions."""
    return api.SpaceSelector("starter", resolutions)


def packaged_table(name):
    """Return the packaged table of a device's defaults."""
    stored = find_table(find_deployment(find_device(name)))
    assert stored is not None
    assert stored.packaged
    return stored.read()


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_tables_are_what_the_descriptions_give(name):
    """A description that is changed needs its table made anew: estimating again changes nothing."""
    device, table = find_device(name), packaged_table(name)
    assert table.provenance == "estimated"
    for space in (find_space("starter"), find_space("nat"), find_space("lite")):
        assert estimate_table(space, device, table.deployment, table, clock=SystemClock()) is table
        assert [table.find_covered_resolutions(space, count) for count in (10, 100, 1000)] == 3 * [space.resolutions]


def test_a_search_for_an_unconnected_board_begins_at_once_and_warns(reporter):
    """The packaged table is used, and the user is told that nothing was run."""
    context = api.Context(reporter=reporter)
    table = find_table_for_search(find_space("starter"), "jetson-nano", width=None, seed=0, context=context)
    assert table.provenance == "estimated"
    assert reporter.warnings == [
        "the latencies of jetson-nano are estimated from its description: nothing was run there"
    ]


def test_rows_are_added_to_the_users_own_copy(reporter):
    """`profile` goes on from the packaged table, in the user's folder; the package stays as it is."""
    before = packaged_table("jetson-nano")
    result = api.profile("jetson-nano", supernet=at(36), context=api.Context(reporter=reporter))
    assert result.table == table_path(before.deployment)
    assert result.content.rows.items() > before.rows.items()
    assert "estimated from its description" in reporter.warnings[0]
    result.table.unlink()
    assert packaged_table("jetson-nano") == before


def test_a_profile_says_between_what_its_networks_are_and_what_to_search(tmp_path, capsys):
    """The next command that `profile` names has a target within its networks' range, and is for the same space."""
    options = ["--supernet", "nat", "--resolutions", "192", "--output", str(tmp_path / "table.csv")]
    assert cli.run(["profile", "--device", "pixel-8", *options]) == 0
    *_, told, after = capsys.readouterr().out.splitlines()
    low, high = (float(figure) for figure in told.split(" take ")[1].split(" ms")[0].split(" to "))
    assert after.startswith("next: natdeploy search --supernet nat --device pixel-8 --target-latency ")
    assert 0 < low < float(after.rpartition(" ")[2].removesuffix("ms")) < high


def test_an_estimate_follows_its_description(home):
    """Rows that stood before the description was changed are estimated again."""
    before = packaged_table("pixel-8")
    figures = find_device("pixel-8").roofline
    assert figures is not None
    keys = "\n".join(f"{kind} = {share / 2}" for kind, share in figures.efficiency.items())
    peaks = "\n".join(f"{name} = {peak}" for name, peak in figures.peak_gmadds.items())
    (home / "devices.toml").write_text(
        f"[pixel-8.roofline]\nbandwidth_gb_s = {figures.bandwidth_gb_s / 2}\noperator_ms = {figures.operator_ms * 2}\n"
        f"[pixel-8.roofline.peak_gmadds]\n{peaks}\n[pixel-8.roofline.efficiency]\n{keys}\n"
    )
    rows = api.profile("pixel-8").content.rows
    assert rows.keys() == before.rows.keys()
    assert all(rows[layer].median_ms == pytest.approx(2 * ms.median_ms, abs=2e-6) for layer, ms in before.rows.items())


def test_predictions_of_estimates_say_so(reporter):
    """`predict` gives the provenance in its result, and a warning."""
    result = api.predict(ENCODING, "raspberry-pi-5", context=api.Context(reporter=reporter))
    assert result.to_json()["provenance"] == "estimated"
    assert "raspberry-pi-5 are estimated" in reporter.warnings[0]


def test_a_target_that_an_estimate_misses_is_answered_with_the_mark():
    """The nearest latency that the message names is called estimated."""
    table = packaged_table("jetson-nano")
    with pytest.raises(TargetUnreachableError, match=r"the nearest takes [0-9.]+ ms \(estimated\)"):
        SearchProblem(
            space=find_space("starter"),
            classes=10,
            goal=SearchGoal(latency_limits_ms=({"jetson-nano": 0.001},)),
            tables={"jetson-nano": table},
        ).require_feasible()


def test_choices_print_the_mark(capsys):
    """`search` prints an estimated latency with its mark, a measured one without, and the format of the device."""
    marks = {}
    for provenance in ("estimated", "measured"):
        latency = api.DeviceLatency(predicted=1.0, upper=None, measured=None, provenance=provenance, runtime="tensorrt")
        row = {"row": 0, "resolution": 32, "depths": "2 2 2 2 2", "top1": 0.5, "madds": 1, "params": 1}
        choice = api.Choice(
            target_ms={},
            top1=0.5,
            top1_source="test",
            validation_top1=0.5,
            madds=1,
            params=1,
            latency_ms={"b": latency},
            compared_with={},
            subnet=table_path(find_deployment(find_device("host"))),
            genotype=(0,),
        )
        search_command.show(
            api.SearchResult(
                run=choice.subnet,
                subnet=choice.subnet,
                front_size=1,
                front=[{**row, "latency_ms:b": 1.0}],
                iterations=1,
                evaluations=1,
                seconds=1.0,
                choices=(choice,),
                limits={},
                prefer="accuracy",
                report=choice.subnet,
            )
        )
        told = capsys.readouterr().out
        assert told.rstrip().endswith(" --format tensorrt --device b")
        marks[provenance] = told.count("(estimated)")
    assert marks == {"estimated": 2, "measured": 0}


def test_a_device_without_figures_can_only_be_measured(home, monkeypatch):
    """The generic phone is not estimated: it is unreachable, and the message says why nothing stands in."""
    write_adb_stand_in(home / "adb", home, "")
    monkeypatch.setenv("PATH", str(home), prepend=os.pathsep)
    for text in ("", '[android]\naddress = "0A1B2C"\n'):
        (home / "devices.toml").write_text(text)
        with pytest.raises(DeviceUnreachableError, match="it can only be measured"):
            api.profile("android")


def test_a_precision_that_brings_nothing_is_warned_about(reporter):
    """A processor without fast arithmetic for a precision is not left to disappoint."""
    api.profile(
        "server-cpu",
        selector=api.TableSelector(precision="int8"),
        supernet=at(32),
        context=api.Context(reporter=reporter),
    )
    assert reporter.warnings[0].startswith("server-cpu runs int8 no faster")
    with pytest.raises(InputError, match="no peak rate is known for precision fp16"):
        api.profile("server-cpu", selector=api.TableSelector(precision="fp16"), supernet=at(32))


def test_an_output_that_is_not_a_csv_file_is_a_folder_with_a_place_for_each_target(home):
    """Tables of two devices written to one `--output` that was not there lie side by side."""
    for name in ("jetson-nano", "jetson-xavier-nx"):
        result = api.profile(name, supernet=at(32), output=home / "tables")
        assert result.table == home / "tables" / name / result.content.deployment.file_name
        assert result.table.is_file()


def test_a_table_of_another_target_is_not_overwritten(home):
    """A file that holds another device's table is refused, named, and left as it is."""
    path = home / "table.csv"
    api.profile("jetson-nano", supernet=at(32), output=path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"table\.csv: holds the table of another deployment: jetson-nano"):
        api.profile("jetson-xavier-nx", supernet=at(32), output=path)
    assert path.read_bytes() == before


def test_a_measured_table_is_never_replaced_by_an_estimate(home):
    """Profiling `server-cpu` without such a machine fails, names the measured table there is, and leaves it alone."""
    deployment = find_deployment(find_device("server-cpu"))
    write_table(
        table_path(deployment), made_up_table(find_space("starter"), deployment=deployment, provenance="measured")
    )
    before = table_path(deployment).read_bytes()
    for fresh in (False, True):
        with pytest.raises(DeviceUnreachableError) as failed:
            api.profile("server-cpu", supernet=at(36), options=api.ProfileOptions(fresh=fresh))
        assert str(table_path(deployment)) in (failed.value.hint or "")
    assert table_path(deployment).read_bytes() == before


def test_a_table_that_is_measured_or_estimated_anew_is_kept(reporter, home):
    """`--fresh` covers only what was asked for, so what lay there stays beside it."""
    context = api.Context(reporter=reporter)
    api.profile("jetson-nano", supernet=at(32, 40), context=context)
    path = api.profile(
        "jetson-nano",
        supernet=at(48),
        options=api.ProfileOptions(fresh=True),
        context=context,
    ).table
    kept = read_table(path.with_name(f"{path.name}.bak"))
    assert kept.find_covered_resolutions(find_space("starter"), 10) == (32, 40, 48)
