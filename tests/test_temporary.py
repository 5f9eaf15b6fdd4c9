"""Temporary folders, and what is swept."""

import os
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from natdeploy.errors import OutputError
from natdeploy.files import write_text
from natdeploy.temporary import gather_temporary_files, remove_stale, temporary_folder
from tests.support.disks import names

KILLED = """
import os, pathlib, signal, sys
from natdeploy.temporary import temporary_folder
with temporary_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "large.bin").write_bytes(b"x" * 1000)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_folder(parent):
    """Let a process be killed while it has a temporary folder, and return the folder."""
    subprocess.run([sys.executable, "-c", KILLED, str(parent)], check=False)
    (left,) = parent.iterdir()
    return left


def test_a_temporary_folder_is_private_and_goes(tmp_path):
    """Nobody else may enter it, two of them differ, and nothing stays, even after an error."""
    with temporary_folder(tmp_path) as one, temporary_folder(tmp_path) as other:
        assert one != other
        assert stat.S_IMODE(one.stat().st_mode) == 0o700
        (one / "file").write_text("content")
    assert names(tmp_path) == []
    with pytest.raises(KeyboardInterrupt), temporary_folder(tmp_path):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_swept(tmp_path):
    """The next temporary folder in the same place removes it, and so does the next file that is written there."""
    for work in (lambda: remove_stale(tmp_path), lambda: write_text(tmp_path / "a.txt", "content")):
        left = leave_folder(tmp_path)
        assert names(left) == ["large.bin"]
        work()
        assert not left.exists()
        (tmp_path / "a.txt").unlink(missing_ok=True)


def test_a_folder_in_use_is_not_swept(tmp_path):
    """Neither this process nor another one removes a folder whose owner still runs."""
    sweep = "import pathlib, sys; from natdeploy.temporary import remove_stale; remove_stale(pathlib.Path(sys.argv[1]))"
    with temporary_folder(tmp_path) as folder:
        remove_stale(tmp_path)
        subprocess.run([sys.executable, "-c", sweep, str(tmp_path)], check=True)
        assert folder.is_dir()


def test_a_folder_that_cannot_be_opened_keeps_no_other_one(tmp_path, monkeypatch):
    """Those of other users are passed over, and what is left beside them is swept."""
    kept, *others = (tmp_path / f"natdeploy-tmp-{letter * 8}" for letter in "abc")
    for folder in (kept, *others):
        folder.mkdir()
    opened = os.open

    def refuse(path, *args, **options):
        if path == kept:
            raise PermissionError(13, os.strerror(13))
        return opened(path, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    remove_stale(tmp_path)
    assert names(tmp_path) == [kept.name]


def test_links_and_other_folders_are_not_swept(tmp_path):
    """A link that was planted under such a name is not followed, and folders of other programs stay."""
    kept, place = tmp_path / "kept", tmp_path / "place"
    (kept / "inside").mkdir(parents=True)
    place.mkdir()
    (place / ".natdeploy-tmp-abcd1234").symlink_to(kept)
    (place / "natdeploy-Ab12Cd").mkdir()
    remove_stale(place)
    assert names(kept) == ["inside"]
    assert names(place) == [".natdeploy-tmp-abcd1234", "natdeploy-Ab12Cd"]


def test_two_at_once_write_whole_files(tmp_path):
    """Threads and processes that write one file at the same time never fail, and the file is always one of theirs."""
    target = tmp_path / "table.csv"
    write = (
        "import pathlib, sys; from natdeploy.files import write_text\n"
        "for _ in range(100): write_text(pathlib.Path(sys.argv[1]), sys.argv[2] * 5000)"
    )

    def write_here(letter):
        for _ in range(100):
            write_text(target, letter * 5000)
            content = target.read_text()
            assert len(content) == 5000
            assert len(set(content)) == 1

    processes = [subprocess.Popen([sys.executable, "-c", write, str(target), letter]) for letter in "ab"]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write_here, "cd"))
    assert [process.wait() for process in processes] == [0, 0]
    assert names(tmp_path) == ["table.csv"]


def test_a_full_folder_of_temporary_files_is_an_output_error(tmp_path, monkeypatch):
    """The message says that it is about temporary files, and the hint names TMPDIR."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(OutputError, match="cannot write temporary files") as caught, temporary_folder():
        pass
    assert "TMPDIR" in caught.value.hint


def test_temporary_files_of_libraries_go_too(tmp_path, monkeypatch):
    """What a library or a program leaves in the folder of temporary files during the block is removed after it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with gather_temporary_files():
        left = tempfile.mkdtemp(prefix="library-")
        made = subprocess.run(["mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip()
        assert Path(left).is_dir()
        assert Path(left).parent == Path(made).parent
        assert Path(made).parent.parent == tmp_path
    assert names(tmp_path) == []
    assert os.environ["TMPDIR"] == str(tmp_path)
    assert tempfile.gettempdir() == str(tmp_path)


def test_a_command_without_temporary_files_needs_no_folder_for_them(tmp_path, monkeypatch):
    """Where none can be made, only what needs one fails."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with gather_temporary_files():
        assert tempfile.gettempdir() == str(tmp_path / "absent")


def test_no_lock_is_no_error(tmp_path, monkeypatch):
    """On a disk without locks files are written all the same, and nothing is swept, because it might be in use."""

    def refuse(*_):
        raise OSError(38, os.strerror(38))

    left = leave_folder(tmp_path)
    monkeypatch.setattr("fcntl.flock", refuse)
    write_text(tmp_path / "a.txt", "content")
    assert names(tmp_path) == [left.name, "a.txt"]
