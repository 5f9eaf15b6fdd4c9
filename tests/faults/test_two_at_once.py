"""Two commands that want the same at the same time."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from natdeploy import cli
from natdeploy.io.runs import hold_run, make_run_path


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
