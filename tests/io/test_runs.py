"""The run folder."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from natdeploy.errors import InputError, InterruptedWorkError, OutputError
from natdeploy.io.locks import hold_run
from natdeploy.io.runs import RunFolder, make_run_path, require_run

SETTINGS = {"supernet": "starter", "seed": 3, "resolutions": [32, 48], "effort": {"iterations": 2}, "weights": ""}


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """A new run folder."""
    made = RunFolder.create(tmp_path / "runs" / "one", SETTINGS)
    made.start()
    return made


def test_a_run_is_opened_with_its_settings(run):
    """A run that is opened again has the settings that it was made with, and no events yet."""
    opened = RunFolder.open(run.path)
    assert opened.config == run.config == SETTINGS
    assert opened.events("evaluated") == []
    assert opened.checkpoint.parent.is_dir()


def test_a_run_is_not_made_twice(run):
    """A folder that holds a run is refused with the command that goes on, and stays as it is."""
    before = (run.path / "run.toml").read_bytes()
    with pytest.raises(InputError, match="contains a run already") as caught:
        RunFolder.create(run.path, {"seed": 4})
    assert f"--resume {run.path}" in caught.value.hint
    assert (run.path / "run.toml").read_bytes() == before


@pytest.mark.parametrize("name", ["notes.txt", "subnet.json", "checkpoint/model.pt"])
def test_a_folder_of_other_files_is_refused(tmp_path, name):
    """Files that no run has written there are neither mixed with a run nor replaced."""
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds other files, such as") as caught:
        RunFolder.create(tmp_path, SETTINGS)
    assert "does not exist or is empty" in caught.value.hint
    assert mine.read_text() == "mine"


def test_an_empty_folder_and_an_unfinished_beginning_are_taken(tmp_path):
    """A run is made in an empty folder, and again where it was interrupted before it could be resumed."""
    begun = RunFolder.create(tmp_path, SETTINGS)
    begun.tables.mkdir()
    begun.write_csv("front", [{"row": 1}])
    RunFolder.create(tmp_path, SETTINGS).start()
    assert RunFolder.open(tmp_path).config == SETTINGS


def test_an_interruption_says_how_to_go_on_once_there_is_a_run(tmp_path):
    """Before the config is written there is nothing to resume; after it, the hint is the command that resumes."""
    run = RunFolder.create(tmp_path / "a run", SETTINGS)
    with pytest.raises(KeyboardInterrupt), run.resumable("adapt", "nothing is lost"):
        raise KeyboardInterrupt
    run.start()
    with (
        pytest.raises(InterruptedWorkError, match="interrupted; nothing is lost") as told,
        run.resumable("adapt", "nothing is lost"),
    ):
        raise KeyboardInterrupt
    assert told.value.hint == f"go on with: natdeploy adapt --resume '{tmp_path}/a run'"


def test_a_run_that_cannot_be_written_is_an_output_error(tmp_path):
    """A run below a file is refused with its name."""
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match=r"cannot write .*file"):
            RunFolder.create(place, SETTINGS)


def test_events_are_kept_by_kind(run):
    """Events come back by kind, in order, also from the folder opened again."""
    run.record("evaluated", {"round": 0, "top1": 0.5})
    run.record("iteration", {"number": 1})
    run.record("evaluated", {"round": 1, "top1": 0.25})
    for folder in (run, RunFolder.open(run.path)):
        assert [event["top1"] for event in folder.events("evaluated")] == [0.5, 0.25]
        assert [event["number"] for event in folder.events("iteration")] == [1]
        assert folder.events("finished") == []


def test_a_kill_while_recording_loses_that_event_alone(run):
    """A torn last line is dropped when the run is opened, and recording goes on."""
    run.record("evaluated", {"round": 0})
    journal = run.path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"event": "eval')
    opened = RunFolder.open(run.path)
    opened.record("evaluated", {"round": 1})
    assert [event["round"] for event in RunFolder.open(run.path).events("evaluated")] == [0, 1]


def test_a_damaged_event_is_refused(run):
    """A damaged line within the journal is refused with file and line."""
    run.record("evaluated", {"round": 0})
    journal = run.path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b"damaged\n" + journal.read_bytes())
    with pytest.raises(InputError, match=r"journal\.jsonl, line 2"):
        RunFolder.open(run.path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "not a run folder: it has no run.toml"),
        (b'seed = "', r"run\.toml: not valid TOML"),
        (b"\xff\xfa", r"run\.toml: cannot be read: not a UTF-8"),
        (b"seed = 1\n", r"run\.toml: format is None, expected 'natdeploy\.run/1'"),
        (b'format = "natdeploy.run/9"\n', r"run\.toml: format is 'natdeploy\.run/9'"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path, raw, message):
    """A folder without settings, or with damaged ones, is refused with the file and the reason."""
    if raw is not None:
        (tmp_path / "run.toml").write_bytes(raw)
    with pytest.raises(InputError, match=message):
        RunFolder.open(tmp_path)


def test_a_missing_folder_is_no_run(tmp_path):
    """A path that does not exist, or is a file, is no run."""
    (tmp_path / "file").touch()
    for place, said in ((tmp_path / "absent", "no such folder"), (tmp_path / "file", "not a run folder")):
        with pytest.raises(InputError, match=said):
            RunFolder.open(place)


def test_tables_come_back(run):
    """Rows written as CSV are read as text."""
    rows = [
        {"row": 0, "top1": 0.1234567, "genotype": "0 0 1 1", "encoding": "08011001440551052208877", "front": True},
        {"row": 1, "top1": 0.5, "genotype": "1 0 9 9", "encoding": "00011001440551052208877", "front": False},
    ]
    run.write_csv("archive", rows)
    expected = [{key: str(value) for key, value in {**row, "top1": round(row["top1"], 6)}.items()} for row in rows]
    assert run.read_csv("archive") == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "line 1: the columns have no names"),
        (b"a,a\n1,2\n", "line 1: the columns have no names, or one of them twice"),
        (b'a,b\n1,2\n3,"4', "line 3: not a CSV row: unexpected end of data"),
        (b"a,b\n1,2,3,4\n5\n", "line 2: 4 columns instead of 2"),
        (b"\xff\xfe\x00", "cannot be read: not a UTF-8 text file"),
    ],
)
def test_a_damaged_table_is_refused(run, raw, reason):
    """A CSV that cannot be read is refused with its name, the line and the reason."""
    (run.path / "archive.csv").write_bytes(raw)
    with pytest.raises(InputError, match=rf"archive\.csv.*: {reason}|archive\.csv, {reason}"):
        run.read_csv("archive")


def test_a_missing_table_means_the_run_has_not_ended(run):
    """The hint is the command that goes on."""
    with pytest.raises(InputError, match="the search has not ended") as caught:
        run.read_csv("archive")
    assert f"--resume {run.path}" in caught.value.hint


def test_the_report_is_written_whole(run):
    """The report's path is returned, and nothing else is left."""
    before = set(run.path.iterdir())
    path = run.write_report("<html>µ</html>")
    assert path.read_text(encoding="utf-8") == "<html>µ</html>"
    assert set(run.path.iterdir()) - before == {path}


def test_default_paths_tell_time_and_seed(tmp_path, monkeypatch):
    """A run without a place of its own is named after the time, UTC, and its seed, and no two share a name."""
    monkeypatch.chdir(tmp_path)
    now = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
    for name in ("20240203T040506Z-s7", "20240203T040506Z-s7-2", "20240203T040506Z-s7-3"):
        path = make_run_path(now, 7)
        assert path == Path("runs") / name
        assert path.is_dir()


def test_only_one_command_at_a_time_works_on_a_run(tmp_path):
    """A second one is told which process works there, another folder is free, and so is this one afterwards."""
    path = tmp_path / "run"
    with hold_run(path):
        with (
            pytest.raises(InputError, match=rf"run: process {os.getpid()} on \S+ is working on this run"),
            hold_run(path),
        ):
            pass
        with hold_run(tmp_path / "other"):
            RunFolder.create(path, SETTINGS).start()
    with hold_run(path):
        assert RunFolder.open(path).config == SETTINGS


def test_a_lock_of_a_killed_process_is_no_lock(tmp_path):
    """A run can be resumed after a kill: the lock goes with the process."""
    program = (
        "import os, pathlib, signal, sys; from natdeploy.io.locks import hold_run\n"
        "with hold_run(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    with hold_run(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / ".lock.pid").read_text()


@pytest.mark.parametrize("name", ["journal.jsonl", "checkpoint", "latency_tables", "checkpoint/supernet.pt", ".lock"])
def test_a_run_holds_its_own_files(run, tmp_path, name):
    """A link in a run from elsewhere, which could have a file outside overwritten, is refused; nothing is written."""
    other = tmp_path / "precious"
    other.write_text("mine")
    place = run.path / name
    if place.is_dir():
        place.rmdir()
    place.symlink_to(other)
    with pytest.raises(InputError, match=f"{name}: is a link"), hold_run(run.path):
        pass
    assert other.read_text() == "mine"


def test_a_run_nearby_is_suggested(tmp_path):
    """A file of a run in place of its folder, and the folder that holds runs, lead to the run."""
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.toml").touch()
    (tmp_path / "runs" / "a" / "subnet.json").touch()
    for given, meant in (("runs/a/subnet.json", "runs/a"), ("runs", "runs/b")):
        with pytest.raises(InputError, match="not a run folder") as caught:
            require_run(tmp_path / given)
        assert str(caught.value.hint).endswith(str(tmp_path / meant))
    with pytest.raises(InputError, match="not a run folder") as caught:
        require_run(tmp_path)
    assert caught.value.hint is None
