"""The append-only journal."""

import json

import pytest

from natdeploy.errors import InputError, OutputError
from natdeploy.journal import Journal
from tests.support.disks import full_disk, names


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


@pytest.mark.parametrize("torn", [b'{"event": "b"', b"{", b'{"event": "b"}', b'{"event": "\xc2', b"{\0\0", b"\0"])
def test_a_torn_last_line_is_dropped(tmp_path, torn):
    """A last line without its end stays until an event is appended, which then stands on a line of its own."""
    path = tmp_path / "journal.jsonl"
    Journal(path).append({"event": "a"})
    raw = path.read_bytes() + torn
    path.write_bytes(raw)
    journal = Journal(path)
    assert journal.events == [{"event": "a"}]
    assert path.read_bytes() == raw
    journal.append({"event": "c"})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"event": "a"}, {"event": "c"}]


@pytest.mark.parametrize(
    "raw",
    [b'{"event": "a"}{"event": "b"}', b'{"event": "a"}\r{"event": "b"}\r', b'{"event": "a"}\nevent: b', b"\xff\xfe{"],
)
def test_events_without_line_feeds_are_refused(tmp_path, raw):
    """What cannot be the beginning of one event was not cut short by a kill: nothing of it is dropped."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"journal\.jsonl, line \d: not a journal event"):
        Journal(path)
    assert path.read_bytes() == raw


@pytest.mark.parametrize("change", [b'{"event": "other"}\n', None])
def test_a_journal_that_changes_meanwhile_is_refused(tmp_path, change):
    """Neither an event of another process is cut off, nor is a journal continued that has been emptied."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append({"event": "a"})
    raw = b"" if change is None else path.read_bytes() + change
    path.write_bytes(raw)
    with pytest.raises(InputError, match="another process has changed it"):
        journal.append({"event": "b"})
    assert path.read_bytes() == raw
    assert journal.events == [{"event": "a"}]


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
