"""Atomic writing."""

import os
from pathlib import Path

import pytest

from natdeploy.errors import InputError, OutputError
from natdeploy.files import atomic_path, write_text, writing
from natdeploy.readers import read_text
from tests.support.disks import full_disk, names


def test_the_target_appears_when_the_block_ends(tmp_path):
    """Meanwhile there is a temporary file of the same name in a folder beside it, afterwards the target alone."""
    target = tmp_path / "new" / "table.csv"
    with atomic_path(target) as temporary:
        temporary.write_text("content")
        assert not target.exists()
        assert temporary.parent.parent == target.parent
        assert temporary.name == target.name
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


def test_an_error_names_the_target(tmp_path):
    """A message of what was written never has the temporary name, which nobody knows."""
    target = tmp_path / "model.onnx"

    def block():
        with atomic_path(target) as temporary:
            msg = f"{temporary}: damaged"
            raise InputError(msg)

    with pytest.raises(InputError, match="damaged") as caught:
        block()
    assert str(caught.value) == caught.value.message == f"{target}: damaged"


def test_the_longest_name_can_be_written(tmp_path):
    """The temporary name is no longer than the name of the file."""
    target = tmp_path / ("n" * 251 + ".csv")
    write_text(target, "content")
    assert names(tmp_path) == [target.name]


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

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(OutputError, match="Read-only file system"):
        write_text(tmp_path / "table.csv", "content")


def test_text_comes_back(tmp_path):
    """Text is written as UTF-8, and read as such."""
    write_text(tmp_path / "a.txt", "µs\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc2\xb5s\n"
    assert read_text(tmp_path / "a.txt") == "µs\n"
