"""What `devices` and `tables list` know of devices and their latency tables."""

from __future__ import annotations

import dataclasses

import pytest

from natdeploy import api
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
