"""Atomic writing and the journal."""

import contextlib
import json
import os
import resource
from pathlib import Path

import pytest

from natdeploy.errors import InputError, OutputError
from natdeploy.files import Journal, atomic_path, read_text, write_text, writing


@contextlib.contextmanager
def full_disk(free_bytes):
    """Let no file of this process grow beyond `free_bytes`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder):
    """Return what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_the_target_appears_when_the_block_ends(tmp_path):
    """Meanwhile there is a temporary file of the same suffix beside it, afterwards the target alone."""
    target = tmp_path / "new" / "table.csv"
    with atomic_path(target) as temporary:
        temporary.write_text("content")
        assert not target.exists()
        assert temporary.parent == target.parent
        assert temporary.suffix == ".csv"
    assert target.read_text() == "content"
    assert names(target.parent) == ["table.csv"]


def test_the_target_is_replaced_at_once(tmp_path):
    """Whoever has the old file open goes on reading the old content: the new file takes its name, not its place."""
    target = tmp_path / "table.csv"
    target.write_text("before")
    with target.open() as reader:
        write_text(target, "after")
        assert reader.read() == "before"
    assert target.read_text() == "after"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, InputError, OSError])
def test_a_block_that_raises_leaves_the_target_as_it_was(tmp_path, error):
    """Whatever is raised, an existing target keeps its content and nothing lies beside it."""
    target = tmp_path / "table.csv"
    target.write_text("before")

    def block():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            msg = "reason"
            raise error(msg)

    with pytest.raises(OutputError if error is OSError else error, match="reason"):
        block()
    assert target.read_text() == "before"
    assert names(tmp_path) == ["table.csv"]


def test_a_full_disk_is_an_output_error(tmp_path):
    """A disk that fills up while writing is told with the target's name, and nothing half-written stays."""
    target = tmp_path / "table.csv"
    target.write_text("before")
    with full_disk(1000), pytest.raises(OutputError, match=r"cannot write \S*table\.csv: File too large"):
        write_text(target, "x" * 100_000)
    assert target.read_text() == "before"
    assert names(tmp_path) == ["table.csv"]


def test_a_device_without_space_is_an_output_error():
    """The system's own reason is given."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OutputError, match="cannot write target: No space left on device") as caught, writing("target"):
        full.write_text("x")
    assert caught.value.exit_code == 2
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("file/table.csv", "a file has the name of a folder that is needed"),
        ("file/deeper/table.csv", "a file has the name of a folder that is needed"),
        ("folder", "Is a directory"),
        ("n" * 300 + ".csv", "File name too long"),
    ],
)
def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path, place, reason):
    """A target below a file, one that is a folder and one with too long a name are refused with the reason."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=f"cannot write .*: ({reason})"):
        write_text(tmp_path / place, "content")
    assert names(tmp_path) == ["file", "folder"]
    assert names(tmp_path / "folder") == []


def test_a_read_only_folder_is_an_output_error(tmp_path, monkeypatch):
    """Where neither creating nor removing a file is allowed, the error still is the one of writing."""

    def refuse(*args, **kwargs):
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(Path, "touch", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match="Read-only file system"):
        write_text(tmp_path / "table.csv", "content")


def test_text_comes_back(tmp_path):
    """What is written as UTF-8 is read as such."""
    write_text(tmp_path / "a.txt", "µs\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc2\xb5s\n"
    assert read_text(tmp_path / "a.txt") == "µs\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("absent", "no such file"), ("folder", "cannot be read: Is a directory"), ("binary", "not a UTF-8 text file")],
)
def test_what_cannot_be_read_is_an_input_error(tmp_path, name, reason):
    """A missing file, a folder and a binary file are refused with name and reason."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=f"{name}: .*{reason}"):
        read_text(tmp_path / name)


def test_a_journal_remembers(tmp_path):
    """Events come back in order, from the same journal and from one opened later."""
    path = tmp_path / "folder" / "journal.jsonl"
    journal = Journal(path)
    assert journal.events == []
    assert not path.parent.exists()
    events = [{"event": "a", "value": 0.1 + 0.2}, {"event": "b", "text": "µs\n\u2028"}]
    for event in events:
        journal.append(event)
    assert journal.events == events
    assert Journal(path).events == events
    assert len(path.read_bytes().splitlines()) == 2


def test_events_cannot_be_changed_from_outside(tmp_path):
    """The list that a journal gives away is not its own."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"event": "a"})
    journal.events.clear()
    assert journal.events == [{"event": "a"}]


@pytest.mark.parametrize("torn", [b'{"event": "b"', b"{", b'{"event": "b"}', b"\xc2"])
def test_a_torn_last_line_is_dropped(tmp_path, torn):
    """A last line without its end is removed, and what is appended then stands on a line of its own."""
    path = tmp_path / "journal.jsonl"
    Journal(path).append({"event": "a"})
    path.write_bytes(path.read_bytes() + torn)
    journal = Journal(path)
    assert journal.events == [{"event": "a"}]
    journal.append({"event": "c"})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"event": "a"}, {"event": "c"}]


def test_a_journal_cut_anywhere_holds_a_beginning(tmp_path):
    """Cut after any byte, the journal opens and holds the events whose lines are whole."""
    path = tmp_path / "journal.jsonl"
    events = [{"event": "evaluated", "top1": value / 7} for value in range(4)]
    for event in events:
        Journal(path).append(event)
    raw = path.read_bytes()
    for length in range(len(raw) + 1):
        path.write_bytes(raw[:length])
        assert Journal(path).events == events[: raw[:length].count(b"\n")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b"{damaged}", "not a journal event"), (b"[1]", "not a journal event"), (b"", "not a"), (b"\xff", "not a")],
)
def test_a_damaged_line_is_refused(tmp_path, line, reason):
    """A whole line that is no event is refused with its number, and the file is left as it was."""
    path = tmp_path / "journal.jsonl"
    raw = b'{"event": "a"}\n' + line + b'\n{"event": "c"}\n'
    path.write_bytes(raw)
    with pytest.raises(InputError, match=rf"journal\.jsonl, line 2: {reason}"):
        Journal(path)
    assert path.read_bytes() == raw


def test_a_journal_that_is_a_folder_is_refused(tmp_path):
    """Something that cannot be read is refused with its name."""
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        Journal(tmp_path)


def test_an_event_that_is_no_json_leaves_no_trace(tmp_path):
    """NaN is refused before anything is written."""
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.append({"value": float("nan")})
    assert names(tmp_path) == []
    assert journal.events == []


def test_an_event_that_does_not_fit_on_the_disk_leaves_no_trace(tmp_path):
    """When the disk is full the event is refused, and the next one that fits stands on a whole line."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append({"event": "a"})
    with full_disk(100):
        with pytest.raises(OutputError, match="cannot write"):
            journal.append({"event": "b" * 200})
        journal.append({"event": "c"})
    assert journal.events == Journal(path).events == [{"event": "a"}, {"event": "c"}]


def test_a_removed_journal_is_empty(tmp_path):
    """Removing deletes file and events, and may be done twice."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"event": "a"})
    journal.remove()
    journal.remove()
    assert journal.events == []
    assert names(tmp_path) == []
