"""Contract suite for transports: subclass `TransportContract` and override its first fixture."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from natdeploy.errors import DeviceUnreachableError, InputError, NatdeployError, OutputError
from natdeploy.ports import Finished, Transport

Connect = Callable[[], AbstractContextManager[Transport]]

LIMIT_S = 120.0
"""Far longer than any working command takes here, even on a busy machine."""
_GONE = 'n=0; while kill -0 "$1" >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.1; done'
_BEGUN = "n=0; until [ -s begun ] || [ $n -gt 600 ]; do n=$((n + 1)); sleep 0.1; done; cat begun"
_ODD_NAME = 'it\'s a "file" $HOME -n ünï'


class TransportContract:
    """Tests of a transport to a device with a POSIX shell. They reach the device only through the transport."""

    @pytest.fixture(scope="class")
    @classmethod
    def connect(cls) -> Connect:
        """Return a function that opens a connection to the device. Leaving the `with` block closes it."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def transport(cls, connect: Connect) -> Iterator[Transport]:
        """Open one connection for all tests that do not close or break it."""
        with connect() as transport:
            yield transport

    def test_commands_run_in_a_folder_of_their_own(self, transport: Transport) -> None:
        """Commands run and keep temporary files in the connection's folder, which other users cannot read."""
        done = shell(transport, 'pwd; echo "$TMPDIR"; ls -ld .')
        here, temporary, listed = done.stdout.splitlines()
        assert transport.folder.startswith("/")
        assert here == temporary == transport.folder
        assert listed.startswith("drwx------")

    def test_input_output_and_exit_code_come_through(self, transport: Transport) -> None:
        """Input reaches the command, and its stdout, stderr and exit code come back separately."""
        done = shell(transport, "cat; echo told >&2; exit 3", stdin=b"given\n")
        assert done == Finished(exit_code=3, stdout="given\n", stderr="told\n")

    def test_arguments_are_not_interpreted(self, transport: Transport) -> None:
        """Blanks, quotes, variables, newlines, options and empty arguments reach the command unchanged."""
        arguments = ["a b", "it's", '"', "$HOME", "`id`", "*", "two\nlines", "", "-n", "\\", "größe", ";"]
        done = shell(transport, 'for one in "$@"; do printf "<%s>" "$one"; done', *arguments)
        assert done.stdout == "".join(f"<{argument}>" for argument in arguments)

    def test_a_command_without_input_reads_nothing(self, transport: Transport) -> None:
        """A command that reads from an empty input ends. It does not wait for the keyboard."""
        assert transport.run(["cat"], timeout_s=LIMIT_S) == Finished(exit_code=0, stdout="", stderr="")

    def test_much_output_comes_through_beside_much_input(self, transport: Transport) -> None:
        """A megabyte in each direction neither blocks nor is truncated."""
        given = b"0123456789abcde\n" * 65536
        assert transport.run(["cat"], timeout_s=LIMIT_S, stdin=given).stdout == given.decode()

    def test_output_that_is_no_text_does_not_fail(self, transport: Transport) -> None:
        """Bytes that are not UTF-8 are replaced, and the text around them is kept."""
        done = shell(transport, r"printf 'before\377after'")
        assert (done.stdout[:6], done.stdout[-5:]) == ("before", "after")

    def test_a_missing_program_is_told_by_its_exit_code(self, transport: Transport) -> None:
        """A missing program gives exit code 127, as in a shell. The connection has not failed."""
        assert transport.run(["no-such-program"], timeout_s=LIMIT_S).exit_code == 127

    @pytest.mark.parametrize("content", [b"", bytes(range(256)) * 4000], ids=["empty", "bytes"])
    def test_files_go_there_and_back_whole(self, transport: Transport, tmp_path: Path, content: bytes) -> None:
        """Files arrive unchanged, under names that need quoting in a shell, and replace existing files."""
        source, back = tmp_path / _ODD_NAME, tmp_path / "back"
        target = f"{transport.folder}/{_ODD_NAME}"
        source.write_bytes(b"something longer that was there before")
        transport.send(source, target)
        source.write_bytes(content)
        transport.send(source, target)
        transport.fetch(target, back)
        assert back.read_bytes() == content
        assert shell(transport, 'wc -c <"$1"; rm -- "$1"', target).stdout.split() == [str(len(content))]

    def test_a_file_that_the_device_cannot_take_is_an_output_error(self, transport: Transport, tmp_path: Path) -> None:
        """The error names the device and the target, here in a missing folder."""
        source = tmp_path / "model"
        source.write_bytes(b"x")
        with pytest.raises(OutputError, match="missing/model") as caught:
            transport.send(source, f"{transport.folder}/missing/model")
        assert transport.name in caught.value.message

    def test_a_file_that_is_not_there_is_an_input_error(self, transport: Transport, tmp_path: Path) -> None:
        """The error names device and file, and no local file is written."""
        with pytest.raises(InputError, match="gone") as caught:
            transport.fetch(f"{transport.folder}/gone", tmp_path / "here")
        assert transport.name in caught.value.message
        assert list(tmp_path.iterdir()) == []

    def test_a_place_here_that_cannot_be_written_is_an_output_error(self, transport: Transport, tmp_path: Path) -> None:
        """The error names the local file."""
        shell(transport, "echo x >there")
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="file/below"):
            transport.fetch(f"{transport.folder}/there", tmp_path / "file" / "below")

    def test_a_full_device_is_told_with_what_to_do(self, transport: Transport) -> None:
        """A full disk becomes an error with the device's name and a hint. Other reasons are passed on."""
        full = transport.make_write_error("cat: write error: No space left on device\n", "a file of 3.0 MB")
        assert isinstance(full, OutputError)
        assert transport.name in full.message
        assert "a file of 3.0 MB" in full.message
        assert full.hint
        assert "Read-only file system" in transport.make_write_error("sh: x: Read-only file system", "a file").message

    def test_a_command_that_takes_too_long_is_ended(self, connect: Connect) -> None:
        """After a timeout, the command and its children are killed on the device, and the connection still works."""
        with connect() as transport:
            for timeout_s in (1.0, 4.0, 16.0, 64.0):
                with pytest.raises(DeviceUnreachableError, match="sh did not finish within") as caught:
                    shell(transport, "sleep 600 & echo $! >child; wait", timeout_s=timeout_s)
                assert transport.name in caught.value.message
                child = shell(transport, "cat child").stdout.strip()
                if child:  # otherwise the device was too busy to start it
                    break
            assert shell(transport, _GONE, child).exit_code == 0
            assert shell(transport, "echo on").stdout == "on\n"

    def test_connections_do_not_share_their_folders(self, connect: Connect) -> None:
        """Two connections have separate folders. Closing one does not affect the other."""
        with connect() as first:
            with connect() as second:
                assert first.folder != second.folder
            assert exists(first, first.folder)
            assert vanishes(first, second.folder)

    def test_closing_leaves_nothing(self, connect: Connect, transport: Transport) -> None:
        """Closing removes the folder and kills a running command, even if the work in the block fails."""
        with contextlib.suppress(ZeroDivisionError), connect() as closed:
            waiting = Waiting(closed)
            raise ZeroDivisionError
        assert isinstance(waiting.end(), DeviceUnreachableError)
        assert shell(transport, _GONE, waiting.pid).exit_code == 0
        assert vanishes(transport, closed.folder)

    def test_an_aborted_connection_fails_what_waits_and_leaves_nothing(
        self, connect: Connect, transport: Transport
    ) -> None:
        """An abort from another thread fails the waiting command and all later ones, and kills it on the device."""
        with connect() as aborted:
            waiting = Waiting(aborted)
            aborted.abort()
            assert isinstance(waiting.end(), DeviceUnreachableError)
            with pytest.raises(DeviceUnreachableError) as caught:
                shell(aborted, "echo")
            assert aborted.name in caught.value.message
        assert shell(transport, _GONE, waiting.pid).exit_code == 0
        assert vanishes(transport, aborted.folder)


class Waiting:
    """A running command that another thread waits for.

    Attributes:
        pid: Process id of the command on the device.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._outcome: Finished | NatdeployError | None = None
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()
        begun = shell(
            transport, "n=0; until [ -s begun ] || [ $n -gt 600 ]; do n=$((n + 1)); sleep 0.1; done; cat begun"
        )
        self.pid = begun.stdout.strip()
        assert self.pid

    def end(self) -> Finished | NatdeployError | None:
        """Return the result or error of the command, or None if it still runs."""
        self._thread.join(LIMIT_S)
        return self._outcome

    def _wait(self) -> None:
        try:
            self._outcome = shell(self._transport, "echo $$ >begun; sleep 600; true", timeout_s=1200)
        except NatdeployError as error:
            self._outcome = error


def shell(
    transport: Transport, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = LIMIT_S
) -> Finished:
    """Run a shell script on the device."""
    return transport.run(["sh", "-c", script, "sh", *arguments], timeout_s=timeout_s, stdin=stdin)


def exists(transport: Transport, path: str) -> bool:
    """Tell whether a file or folder exists on the device."""
    return shell(transport, '[ -e "$1" ]', path).exit_code == 0


def vanishes(transport: Transport, path: str) -> bool:
    """Tell whether a file or folder disappears from the device within a minute."""
    return shell(transport, _GONE.replace("kill -0", "ls -d"), path).exit_code == 0
