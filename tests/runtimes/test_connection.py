"""Connections without a network: the folder, files and commands of this machine as a device."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from natdeploy.errors import DeviceUnreachableError, OutputError
from natdeploy.runtimes.connection import Connection, LocalLink
from natdeploy.testing.transports import TransportContract


class TestLocal(TransportContract):
    """This machine as a device does what every transport must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def connect(cls):
        """A connection to this machine."""
        return lambda: Connection("here", LocalLink())


def test_a_folder_that_cannot_be_made_says_why(monkeypatch, tmp_path):
    """A device whose folder for temporary files cannot be written is an error of its disk."""
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv("TMPDIR", str(blocked))
    with pytest.raises(OutputError, match="here: a folder cannot be written"):
        Connection("here", LocalLink())


class LoginLink(LocalLink):
    """A device whose login shell does something before it runs a command."""

    def __init__(self, start_up: str) -> None:
        self._start_up = start_up

    def make_opening_command(self, line: str) -> list[str]:
        """Run the start-up file first."""
        return ["sh", "-c", f"{self._start_up}\n{line}"]

    def make_command(self, line: str) -> list[str]:
        """Run the start-up file first."""
        return self.make_opening_command(line)

    def make_push_command(self, source: Path, target: str) -> None:  # type: ignore[override]
        """Return None: files are sent through commands, as over ssh."""


@pytest.mark.parametrize(
    "start_up", ["echo Welcome to board", "printf 'no newline at the end'", "echo '{\"error\": 1}'; echo conda >&2"]
)
def test_what_a_login_shell_prints_is_not_taken_for_output(start_up, tmp_path):
    """Commands, files and the folder come through whole where a start-up file such as .bashrc prints text."""
    source = tmp_path / "file"
    source.write_bytes(bytes(range(256)) * 100)
    with Connection("board", LoginLink(start_up)) as connection:
        done = connection.run(["sh", "-c", "cat; echo told >&2; exit 3"], timeout_s=9, stdin=b"given")
        connection.send(source, f"{connection.folder}/file")
        connection.fetch(f"{connection.folder}/file", tmp_path / "back")
    assert (done.exit_code, done.stdout, done.stderr) == (3, "given", "told\n")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("start_up", ["echo 'Welcome. Bye.'; exit 1", "echo menu; exit 0"])
def test_a_login_shell_that_runs_no_command_is_named(start_up):
    """It is the shell that failed, neither the disk of the device nor a file that came incomplete."""
    with pytest.raises(
        DeviceUnreachableError, match="board: its login shell does not run commands: it printed"
    ) as caught:
        Connection("board", LoginLink(start_up))
    assert ".bashrc" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("said", "reason", "hint"),
    [
        ("WARNING: Your password has expired.", "needs a new password", "log in once by hand"),
        ("This account is currently not available.", "may not run commands", "another user"),
        ("This service allows sftp connections only.", "may not run commands", "another user"),
        ('Please login as the user "ubuntu" rather than the user "root".', "wants another user", "name that user"),
        (
            '"sh" is not recognized as an internal or external command',
            "runs Windows, whose shell does not know sh",
            "WSL",
        ),
    ],
)
@pytest.mark.parametrize("stream", [1, 2])
def test_an_account_that_runs_no_command_is_told_apart(said, reason, hint, stream):
    """What is wrong with the account is not looked for in a start-up file."""
    with pytest.raises(DeviceUnreachableError, match=rf"^board: .*{reason}: it printed ") as caught:
        Connection("board", LoginLink(f"echo {shlex.quote(said)} >&{stream}; exit 1"))
    assert hint in str(caught.value.hint)


def test_a_login_shell_that_waits_is_named():
    """A start-up file that waits for the keyboard is told by what it printed."""
    with pytest.raises(
        DeviceUnreachableError, match="no answer within 1 s; its login shell printed 'choose:'"
    ) as caught:
        Connection("board", LoginLink("echo choose:; exec sleep 5"), patience_s=1)
    assert ".bashrc" in str(caught.value.hint)


def test_a_login_shell_that_changes_midway_is_named(tmp_path):
    """Output without the command's own beginning is never taken for a result."""
    rc = tmp_path / "rc"
    rc.write_text("", encoding="utf-8")
    with Connection("board", LoginLink(f". {rc}")) as connection:
        rc.write_text("echo no more; exit 0", encoding="utf-8")
        with pytest.raises(DeviceUnreachableError, match="does not run commands: it printed 'no more'"):
            connection.run(["echo", "5"], timeout_s=9)
