"""Devices behind ssh, against a real sshd on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy.errors import DeviceUnreachableError, MissingRuntimeError, OutputError
from natdeploy.runtimes.connection import Connection
from natdeploy.runtimes.ssh import SshLink
from natdeploy.testing.transports import Connect, TransportContract
from tests.support.ssh_server import ADDRESS, SshServer, free_port, ssh_server
from tests.support.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.device


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A board."""
    folder = tmp_path_factory.mktemp("board")
    temporary = folder / "tmp"
    temporary.mkdir()
    with ssh_server(folder, {"TMPDIR": str(temporary)}) as server:
        yield server


@pytest.fixture
def board(running: SshServer, monkeypatch: pytest.MonkeyPatch) -> SshServer:
    """A board that `ssh board` of PATH reaches."""
    monkeypatch.setenv("PATH", f"{running.folder / 'bin'}:{os.environ['PATH']}")
    return running


class TestSsh(TransportContract):
    """A device behind ssh does what every transport must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def connect(cls, running: SshServer) -> Iterator[Connect]:
        """A connection to the board."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{running.folder / 'bin'}:{os.environ['PATH']}")
            yield lambda: Connection("board", SshLink(ADDRESS))


def left_over(board: SshServer) -> list[str]:
    """Return what lies in the board's folder for temporary files, when it has had time to be removed."""
    folder = board.folder / "tmp"
    wait_until(lambda: not list(folder.iterdir()))
    return [path.name for path in folder.iterdir()]


def runs(marker: str) -> bool:
    """Tell whether a command with this argument runs."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return any(line.split()[-1:] == [marker] for line in listed.splitlines())


def test_commands_and_files_share_one_connection_and_leave_nothing(board, tmp_path):
    """All commands go over the first connection; input, output, exit code and odd file names come through whole."""
    source = tmp_path / 'it\'s a "file" $HOME'
    source.write_bytes(bytes(range(256)) * 1000)
    logins = board.log.count("Accepted publickey")
    with Connection("board", SshLink(ADDRESS)) as connection:
        target = f"{connection.folder}/{source.name}"
        connection.send(source, target)
        echoed = connection.run(["sh", "-c", 'pwd; cat; echo "$1" >&2; exit 3', "sh", "a b"], timeout_s=9, stdin=b"x")
        assert Path(target).read_bytes() == source.read_bytes()
        connection.fetch(target, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert (echoed.exit_code, echoed.stdout, echoed.stderr) == (3, f"{connection.folder}\nx", "a b\n")
    assert board.log.count("Accepted publickey") == logins + 1
    assert left_over(board) == []


def test_a_cut_connection_is_an_error_and_leaves_nothing(board):
    """When the session is killed during a command, the command ends, the folder goes, and the error says so."""
    with Connection("board", SshLink(ADDRESS)) as connection:
        threading.Timer(0.5, board.cut).start()
        with pytest.raises(DeviceUnreachableError, match="board: the connection was cut"):
            connection.run(["sleep", "4243"], timeout_s=LIMIT_S)
        with pytest.raises(DeviceUnreachableError, match="board: the connection was cut"):
            connection.run(["echo"], timeout_s=LIMIT_S)
    assert wait_until(lambda: not runs("4243"))
    assert left_over(board) == []


def test_another_host_key_is_refused(board):
    """A host key that has changed is an error that says how to go on; the check is never switched off."""
    known = board.known_hosts.read_text(encoding="utf-8")
    other = (board.folder / "user_key.pub").read_text(encoding="utf-8")
    board.known_hosts.write_text(f"[127.0.0.1]:{board.port} {other}", encoding="utf-8")
    try:
        with pytest.raises(DeviceUnreachableError, match=r"host key of .* has changed") as caught:
            Connection("board", SshLink("127.0.0.1", board.port))
    finally:
        board.known_hosts.write_text(known, encoding="utf-8")
    assert f"ssh-keygen -R '[127.0.0.1]:{board.port}'" in str(caught.value.hint)


def test_an_unknown_host_key_is_refused(board):
    """A host that was never seen is not trusted; the hint is to log in once."""
    known = board.known_hosts.read_text(encoding="utf-8")
    board.known_hosts.write_text("", encoding="utf-8")
    try:
        with pytest.raises(DeviceUnreachableError, match="not known yet") as caught:
            Connection("board", SshLink(ADDRESS))
    finally:
        board.known_hosts.write_text(known, encoding="utf-8")
    assert "log in once with: ssh board" in str(caught.value.hint)


def test_a_refused_connection_says_so(board):
    """Where nobody listens, the error names host and port."""
    port = free_port()
    with pytest.raises(DeviceUnreachableError, match=f"127.0.0.1, port {port} refuses the connection"):
        Connection("board", SshLink("127.0.0.1", port))


def test_a_refused_login_says_how_to_allow_it(board):
    """A key that the board does not know is an error, without a question for a password."""
    allowed = board.folder / "authorized_keys"
    content = allowed.read_text(encoding="utf-8")
    allowed.write_text("", encoding="utf-8")
    try:
        with pytest.raises(DeviceUnreachableError, match="board refuses the login") as caught:
            Connection("board", SshLink(ADDRESS))
    finally:
        allowed.write_text(content, encoding="utf-8")
    assert "ssh-copy-id" in str(caught.value.hint)


def test_an_unknown_host_says_so(board):
    """A name that resolves to nothing is an error that names it."""
    with pytest.raises(DeviceUnreachableError, match=r"there is no host named no-such-board\.invalid"):
        Connection("board", SshLink("no-such-board.invalid"))


def test_a_silent_server_is_not_waited_for_forever(board):
    """A server that accepts and says nothing is given up after the time that it has."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DeviceUnreachableError, match="board: no answer within 1 s"):
            Connection("board", SshLink("127.0.0.1", port), patience_s=1)


def test_without_ssh_the_package_is_named(monkeypatch, tmp_path):
    """A machine without ssh gets the install command."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingRuntimeError, match="ssh is not installed") as caught:
        Connection("board", SshLink(ADDRESS))
    assert caught.value.hint == "apt install openssh-client"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("a small disk can only be mounted as root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_board_says_so(small_disk, tmp_path, monkeypatch):
    """A file that does not fit is an error that names the board; the connection's folder is removed all the same."""
    source = tmp_path / "large"
    source.write_bytes(b"\1" * 3_000_000)
    keys = tmp_path / "keys"
    keys.mkdir()
    with ssh_server(keys, {"TMPDIR": str(small_disk)}) as server:
        monkeypatch.setenv("PATH", f"{server.folder / 'bin'}:{os.environ['PATH']}")
        with (
            Connection("board", SshLink(ADDRESS)) as connection,
            pytest.raises(OutputError, match=r"board: no space left in .* for a file of 3\.0 MB") as caught,
        ):
            connection.send(source, f"{connection.folder}/large")
        assert "TMPDIR" in str(caught.value.hint)
        assert list(small_disk.iterdir()) == []


def test_a_server_that_allows_one_session_says_so(tmp_path, monkeypatch):
    """Commands run beside the one that keeps the folder; where the server allows one session, MaxSessions is named."""
    with ssh_server(tmp_path, settings=["MaxSessions 1"]) as server:
        monkeypatch.setenv("PATH", f"{server.folder / 'bin'}:{os.environ['PATH']}")
        with (
            Connection("board", SshLink(ADDRESS)) as connection,
            pytest.raises(DeviceUnreachableError, match="too few sessions") as caught,
        ):
            connection.run(["true"], timeout_s=LIMIT_S)
    assert "MaxSessions" in str(caught.value.hint)


def test_a_server_whose_shell_greets_every_command_is_no_trouble(tmp_path, monkeypatch):
    """What the shell there prints before each command, on both streams, reaches neither files nor results."""
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 500)
    greeting = 'ForceCommand echo Welcome; echo conda >&2; eval "$SSH_ORIGINAL_COMMAND"'
    with ssh_server(tmp_path, settings=[greeting]) as server:
        monkeypatch.setenv("PATH", f"{server.folder / 'bin'}:{os.environ['PATH']}")
        with Connection("board", SshLink(ADDRESS)) as connection:
            done = connection.run(["sh", "-c", "cat; exit 3"], timeout_s=LIMIT_S, stdin=b"given")
            connection.send(source, f"{connection.folder}/there")
            connection.fetch(f"{connection.folder}/there", tmp_path / "back")
    assert (done.exit_code, done.stdout, done.stderr) == (3, "given", "")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_a_server_that_hangs_up_before_the_login_says_so(tmp_path):
    """A ban, a limit or another kind of server closes the connection at once: it is not the key that is wrong."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            server.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(DeviceUnreachableError, match="closes the connection before the login") as caught:
            Connection("board", SshLink("127.0.0.1", server.getsockname()[1]))
    assert "fail2ban" in str(caught.value.hint)
