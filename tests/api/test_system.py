"""What `devices` and `tables list` know of devices and their latency tables."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from natdeploy import api, cli
from natdeploy.core.device import TableSelector, find_deployment
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.io.table_store import table_path
from natdeploy.io.tables import write_table
from natdeploy.testing.tables import made_up_table


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Give the user an empty home folder."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    return tmp_path


def states():
    """Return the states of the devices, by name."""
    return {state.name: state for state in api.devices()}


def test_devices_are_reachable_or_not_connected_or_not_checked(home):
    """This machine is reachable, a device without an address not connected, and one with an address not checked."""
    (home / "devices.toml").write_text('[pixel-8]\naddress = "0A1B2C"\n')
    found = {name: (state.state, state.reachable) for name, state in states().items()}
    assert found["host"] == ("reachable", True)
    assert found["jetson-nano"] == ("not connected", False)
    assert found["pixel-8"] == ("not checked", None)


def test_a_device_lists_its_tables_with_their_provenance():
    """A measured table of the user's own is told from a packaged one."""
    deployment = find_deployment(find_device("galaxy-s23"), TableSelector(threads=2))
    write_table(table_path(deployment), made_up_table(find_space("starter"), deployment=deployment))
    (table,) = states()["galaxy-s23"].tables
    assert (table.runtime, table.precision, table.batch, table.threads) == ("litert", "fp32", 1, 2)
    assert (table.provenance, table.packaged, table.problem) == ("measured", False, None)


def test_a_damaged_table_is_named_and_hides_no_other_device():
    """The row of its device says what is wrong; all other devices are listed as ever."""
    deployment = find_deployment(find_device("galaxy-s23"))
    path = table_path(deployment)
    path.parent.mkdir(parents=True)
    path.write_text("not a table\n")
    found = states()
    (table,) = found["galaxy-s23"].tables
    assert table.provenance is None
    assert str(path) in (table.problem or "")
    assert len(found) > 10


def test_tables_and_doctor_name_what_is_damaged(home):
    """`tables list` shows a damaged table beside the others; `doctor` calls it broken, and so a bad devices.toml."""
    path = table_path(find_deployment(find_device("galaxy-s23")))
    path.parent.mkdir(parents=True)
    path.write_text("not a table\n")
    (damaged,) = (state for state in api.tables() if state.problem is not None)
    assert (damaged.device, damaged.provenance, damaged.rows) == ("galaxy-s23", None, 0)
    assert len(api.tables()) > 4
    (home / "devices.toml").write_text("[pi")
    broken = {finding.what: finding.detail for finding in api.doctor() if finding.state == "broken"}
    assert str(path) in broken["latency table"]
    assert "devices.toml" in broken["devices"]


def test_tables_tell_packaged_from_own():
    """`tables list` marks what natdeploy ships; a table of the user's own of the same deployment comes first."""
    deployment = find_deployment(find_device("jetson-nano"))
    packaged = {state.device: state for state in api.tables() if state.packaged}
    assert packaged["jetson-nano"].provenance == "estimated"
    table = dataclasses.replace(made_up_table(find_space("starter"), deployment=deployment), provenance="estimated")
    write_table(table_path(deployment), table)
    (own,) = (state for state in api.tables() if state.device == "jetson-nano")
    assert (own.packaged, own.rows) == (False, len(table.rows))


def _damage_home(kind: str, home: Path) -> str:
    """Damage a home folder, and return what is then named."""
    devices, tables = home / "devices.toml", home / "latency_tables"
    if kind == "home is a file":
        home.rmdir()
        home.touch()
    elif kind == "tables are a file":
        tables.touch()
    elif kind == "tables are a link to nowhere":
        tables.symlink_to("gone")
    elif kind == "tables of a device are a link in a circle":
        tables.mkdir()
        (tables / "host").mkdir()
        (tables / "host" / "onnxruntime-fp32-b1-t1.csv").symlink_to("onnxruntime-fp32-b1-t1.csv")
        return str(tables / "host" / "onnxruntime-fp32-b1-t1.csv")
    elif kind == "devices are a pipe":
        os.mkfifo(devices)
    elif kind == "devices are a link to nowhere":
        devices.symlink_to("gone")
    else:
        devices.write_text('[host]\naddress = 1\n[good]\nlike = "jetson-nano"\n["bad name"]\nlike = "jetson-nano"\n')
        return "bad name"
    return str(devices if kind.startswith("devices") else tables)


@pytest.mark.parametrize(
    "kind",
    [
        "home is a file",
        "tables are a file",
        "tables are a link to nowhere",
        "tables of a device are a link in a circle",
        "devices are a pipe",
        "devices are a link to nowhere",
        "devices are damaged",
    ],
)
def test_a_damaged_home_folder_stops_no_list(kind, home, capsys, monkeypatch):
    """`devices`, `tables list` and `doctor` list what is damaged beside all that is not."""
    monkeypatch.setenv("COLUMNS", "400")
    named = _damage_home(kind, home)
    about_devices = kind.startswith("devices")
    for command, code, other in (
        ("devices", 0, "jetson-nano"),
        ("tables list", 0, "jetson-nano"),
        ("doctor", 1, "torch"),
    ):
        assert cli.run(command.split()) == code
        out = capsys.readouterr().out
        assert other in out
        assert (named in out and ("damaged" in out or "broken" in out)) or (about_devices and command == "tables list")
        assert cli.run([*command.split(), "--json"]) == code
        assert named in capsys.readouterr().out or (about_devices and command == "tables list")


def test_a_damaged_description_hides_only_its_own_device(home):
    """Other devices of the file are known, and the damaged one is not taken for the shipped one of its name."""
    _damage_home("devices are damaged", home)
    found = states()
    assert found["good"].state == "not connected"
    assert (found["host"].state, found["host"].kind) == ("damaged", None)
    assert "key 'address'" in (found["host"].problem or "")
    assert "is not a device name" in (found["bad name"].problem or "")
