"""Opening files that others have made."""

import os
import socket
from pathlib import Path

import pytest

from natdeploy.errors import InputError
from natdeploy.journal import Journal
from natdeploy.readers import open_file, read_bytes, read_text, require_file
from natdeploy.supernet.accuracy_file import read_perceptron
from natdeploy.supernet.checkpoints import read_state


def _make(kind: str, folder: Path) -> Path:
    """Make something that is not a regular file."""
    path = folder / "it"
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["a folder", "a named pipe", "a socket", "a device"])
@pytest.mark.parametrize(
    "read", [require_file, read_text, read_state, read_perceptron, Journal, lambda path: open_file(path, 1)]
)
def test_what_is_no_regular_file_is_named(tmp_path, kind, read):
    """A folder, a pipe, a socket and a device are called that by every reader, and none is waited for."""
    path = _make(kind, tmp_path)
    with pytest.raises(InputError) as caught:
        read(path)
    message = caught.value.message
    assert message.startswith(f"{path}: ")
    assert f"is {kind}, not a file" in message or (kind == "a socket" and "No such device or address" in message)


@pytest.mark.parametrize("read", [require_file, read_text, read_state, read_perceptron])
def test_a_missing_file_is_named(tmp_path, read):
    """A missing file is called that, and a link to a missing file names what it leads to."""
    with pytest.raises(InputError, match="absent: no such file"):
        read(tmp_path / "absent")
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(InputError, match="link: it is a link to gone, which does not exist"):
        read(tmp_path / "link")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("a\0b", "not the name of a file"), ("a\ud800", "not the name of a file"), ("n" * 300, "File name too long")],
)
def test_a_name_that_no_file_has_is_refused(path, reason):
    """A name that the system does not take is an error of its own."""
    for read in (require_file, read_text):
        with pytest.raises(InputError, match=reason):
            read(Path(path))


def test_a_link_in_a_circle_is_refused(tmp_path):
    """A link that leads to itself is told with the system's reason."""
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(InputError, match="link: cannot be read: Too many levels of symbolic links"):
        read_text(tmp_path / "link")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    """The size is told with the size that files of this kind have; at the limit a file is read."""
    path = tmp_path / "large"
    path.write_bytes(b"x" * 2**20)
    assert read_bytes(path, 2**20) == b"x" * 2**20
    with path.open("ab") as file:
        file.truncate(2**40)
    for read in (require_file, lambda path: read_bytes(path, 2**20), read_text, read_state, Journal):
        with pytest.raises(InputError, match=r"large: is 1,048,576\.0 MiB large; files of this kind have at most"):
            read(path)


def test_a_file_of_the_system_that_states_no_size_is_read_up_to_the_limit():
    """The size that a file states is not believed."""
    status = Path("/proc/self/status")
    assert status.stat().st_size == 0
    assert "VmRSS" in read_text(status)
    with pytest.raises(InputError, match="files of this kind have"):
        read_bytes(status, 10)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_files_of_windows_are_read(tmp_path, encoding):
    """UTF-8 with and without a byte order mark, and UTF-16 with one, as PowerShell writes it, are the same text."""
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (tmp_path / "a.txt").write_bytes(f"{mark}name = 'ö'\r\nx = 1\r\n".encode(encoding))
    assert read_text(tmp_path / "a.txt") == "name = 'ö'\nx = 1\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe\x00", "a: cannot be read: not a UTF-8 text file"),
        (b"a\xffb", "a: cannot be read: not a UTF-8 text file"),
        (b"a\nb\0c", "a, line 2: cannot be read: not a text file: it contains a zero byte"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, reason):
    """Bytes in another encoding are refused with the reason."""
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_text(tmp_path / "a")
