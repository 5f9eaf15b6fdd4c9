"""Connections without a network: the folder, files and commands of this machine as a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from natdeploy.errors import DeviceUnreachableError, InputError, OutputError
from natdeploy.runtimes.connection import Connection, LocalLink


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """Return the device's folder for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_what_a_command_leaves_is_removed(temporary):
    """Commands run in the folder, their temporary files too, and all of it goes with the connection."""
    with Connection("here", LocalLink()) as connection:
        done = connection.run(["sh", "-c", "touch left; mktemp; pwd"], timeout_s=20)
        temporary_file, folder = done.stdout.split()
        assert Path(temporary_file).parent == Path(folder) == Path(connection.folder)
        assert Path(folder).parent == temporary
    assert list(temporary.iterdir()) == []


def test_what_still_runs_is_ended(temporary):
    """Closing ends a command that another thread still waits for."""
    import threading

    failed: list[int] = []
    with Connection("here", LocalLink()) as connection:

        def wait() -> None:
            failed.append(connection.run(["sh", "-c", "touch begun; sleep 4244"], timeout_s=60).exit_code)

        thread = threading.Thread(target=wait)
        thread.start()
        while not Path(connection.folder, "begun").exists():
            pass
    thread.join(20)
    assert failed == [137]


def test_a_missing_command_is_told_by_its_exit_code():
    """As a shell does: 127."""
    with Connection("here", LocalLink()) as connection:
        assert connection.run(["no-such-program"], timeout_s=20).exit_code == 127


def test_an_aborted_connection_cannot_be_used():
    """After an abort every command fails as on a cut connection."""
    with Connection("here", LocalLink()) as connection:
        connection.abort()
        connection._keeper.wait()
        with pytest.raises(DeviceUnreachableError, match="here: the connection was cut"):
            connection.run(["true"], timeout_s=20)


def test_a_folder_that_cannot_be_made_says_why(monkeypatch, tmp_path):
    """A device whose folder for temporary files cannot be written is an error of its disk."""
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv("TMPDIR", str(blocked))
    with pytest.raises(OutputError, match="here: a folder cannot be written"):
        Connection("here", LocalLink())


def test_a_file_that_cannot_be_written_says_why(tmp_path):
    """The device's own words are in the error."""
    source = tmp_path / "model.onnx"
    source.write_bytes(b"x")
    with Connection("here", LocalLink()) as connection, pytest.raises(OutputError, match="No such file or directory"):
        connection.send(source, f"{connection.folder}/missing/model.onnx")


def test_files_are_fetched_whole_or_not_at_all(tmp_path):
    """Bytes come as they are; what is not there, or cannot be written here, is named."""
    (tmp_path / "there").write_bytes(bytes(range(256)) * 10)
    with Connection("board", LocalLink()) as connection:
        connection.fetch(str(tmp_path / "there"), tmp_path / "here")
        assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()
        with pytest.raises(InputError, match=r"board: .*gone cannot be read: .*[Nn]o such file"):
            connection.fetch(str(tmp_path / "gone"), tmp_path / "other")
        with pytest.raises(OutputError, match=r"cannot write .*here/below"):
            connection.fetch(str(tmp_path / "there"), tmp_path / "here" / "below")
    assert not (tmp_path / "other").exists()
