"""Another machine than the one that is described, or that a table was measured on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from natdeploy import api
from natdeploy.api.latency.lookup import make_host_fingerprint
from natdeploy.core.architecture import smallest
from natdeploy.core.device import Deployment, TableSelector
from natdeploy.errors import InputError
from natdeploy.io.devices import USER_FILE
from natdeploy.io.spaces import SpaceSelector, find_space
from natdeploy.io.tables import read_table, write_table
from natdeploy.profilers.timing import Timing
from natdeploy.testing.fakes import RecordingReporter
from natdeploy.testing.tables import HOST, made_up_table

STARTER = find_space("starter")
PI = dataclasses.replace(HOST, device="raspberry-pi-5")
SELECTOR = TableSelector(runtime="onnxruntime")
SMALL = SpaceSelector("starter", (32,), 0.5)
OTHER = "Raspberry Pi 5 Model B Rev 1.0 (0x41/0xd0b r4p1); 4 cores; Linux aarch64; serial 10000000a1; runtime 1.20"
QUICK = Timing(
    warmup_runs=1, warmup_s=0.0, rounds=2, quiet_rounds=1, max_rounds=2, settle_s=0.0, round_s=0.0, processes=1
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder whose Raspberry Pi is this machine, and timing that takes a moment."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    monkeypatch.setattr("natdeploy.profilers.timing.choose_timing", lambda _: QUICK)
    (tmp_path / USER_FILE).write_text('[raspberry-pi-5]\ntransport = "local"\nmodels = ["Raspberry Pi 5"]\n')
    return tmp_path


def store(home: Path, deployment: Deployment, fingerprint: str) -> Path:
    """Write a measured table of another machine."""
    path = home / "latency_tables" / deployment.device / deployment.file_name
    write_table(path, made_up_table(STARTER, deployment=deployment, fingerprint=fingerprint))
    return path


def test_another_device_than_the_description_is_warned_of(home, tmp_path):
    """A server that answers as a Raspberry Pi is measured, and what it is stands in a warning."""
    network = tmp_path / "small.json"
    network.write_text(json.dumps(smallest(STARTER).to_json()), encoding="utf-8")
    reporter = RecordingReporter()
    api.measure(network, "raspberry-pi-5", selector=SELECTOR, context=api.Context(reporter=reporter))
    (told,) = [message for message in reporter.warnings if "another device" in message]
    assert "raspberry-pi-5 is Raspberry Pi 5" in told
    assert "devices.toml" in told


def test_a_measured_table_of_another_machine_is_not_replaced(home):
    """The table stays as it is, the message names both machines, and nothing was measured."""
    path = store(home, PI, OTHER)
    before = path.read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"serial 10000000a1.* than the one that answers as raspberry-pi-5") as caught:
        api.profile("raspberry-pi-5", supernet=SMALL, selector=SELECTOR)
    assert "name of its own" in str(caught.value.hint)
    assert "--fresh" in str(caught.value.hint)
    assert path.read_text(encoding="utf-8") == before
    assert not path.with_suffix(".journal.jsonl").exists()


def test_an_unfinished_profile_of_another_machine_is_not_thrown_away(home):
    """What was measured before the other machine left is kept until it is back."""
    journal = home / "latency_tables" / "raspberry-pi-5" / PI.file_name.replace(".csv", ".journal.jsonl")
    journal.parent.mkdir(parents=True)
    event = json.dumps({"kind": "start", "key": f"{PI}; {OTHER}", "fresh": False}) + "\n"
    journal.write_text(event, encoding="utf-8")
    with pytest.raises(InputError, match=r"journal\.jsonl: it was measured on another machine"):
        api.profile("raspberry-pi-5", supernet=SMALL, selector=SELECTOR)
    assert journal.read_text(encoding="utf-8") == event


@pytest.mark.parametrize("fingerprint", [OTHER, "runtime of before"])
def test_what_a_new_table_of_this_machine_replaces_is_kept(home, monkeypatch, fingerprint):
    """`host` is whichever machine this is, and runtimes are updated: the new table keeps the former one as .bak."""
    measured = made_up_table(STARTER, fingerprint=make_host_fingerprint(HOST))
    monkeypatch.setattr("natdeploy.profilers.table_building.profile_device", lambda *_, **__: measured)
    path = store(home, HOST, fingerprint)
    reporter = RecordingReporter()
    api.profile(selector=SELECTOR, context=api.Context(reporter=reporter))
    assert read_table(path).fingerprint == measured.fingerprint
    assert read_table(path.with_name(f"{path.name}.bak")).fingerprint == fingerprint
    assert any(".bak" in message for message in reporter.said)
