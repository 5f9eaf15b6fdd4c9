"""Two commands that want the same at the same time."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from natdeploy import api, cli
from natdeploy.api.latency import profile as profiling
from natdeploy.io.locks import hold_run
from natdeploy.io.runs import make_run_path
from natdeploy.io.spaces import find_space
from natdeploy.io.table_store import table_path
from natdeploy.io.tables import read_table, write_table
from natdeploy.ports import ModelTimer
from natdeploy.testing.tables import HOST, made_up_table


@pytest.mark.parametrize("command", ["search --resume run", "adapt --resume run", "pretrain --resume run"])
def test_a_second_command_on_a_run_is_refused(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told which process works there, and changes nothing."""
    monkeypatch.chdir(tmp_path)
    run = Path("run")
    run.mkdir()
    (run / "run.toml").write_text('format = "natdeploy.run/1"\n')
    (run / "journal.jsonl").write_text('{"event": "finished", "at": ""}\n{"event"')
    with hold_run(run):
        before = {path.name: path.read_text() for path in run.iterdir()}
        assert cli.run(command.split()) == 2
        assert {path.name: path.read_text() for path in run.iterdir()} == before
    assert f"run: process {os.getpid()} on " in capsys.readouterr().err


def test_searches_that_begin_in_the_same_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --output, no two take the same name."""
    monkeypatch.chdir(tmp_path)
    now = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: make_run_path(now, 7), range(32)))
    assert len(set(made)) == 32


def test_a_profile_adds_to_what_another_one_has_just_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that appeared before this profile got the device is neither measured again nor replaced."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    open_timer, path = profiling.open_timer, table_path(HOST)

    @contextlib.contextmanager
    def open_late(*arguments: object, **options: object) -> Iterator[ModelTimer]:
        with open_timer(*arguments, **options) as timer:
            write_table(path, made_up_table(find_space("starter"), fingerprint=timer.fingerprint()))
            yield timer

    monkeypatch.setattr(profiling, "open_timer", open_late)
    result = api.profile(supernet=api.SpaceSelector("starter", (32,)), selector=api.TableSelector(threads=1))
    assert result.table == path
    assert read_table(path).rows == made_up_table(find_space("starter")).rows
