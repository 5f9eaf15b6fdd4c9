"""Opens and decodes files that others have made. Every file that natdeploy reads is opened here.

Such a file can be anything: a named pipe that never ends, a device, gigabytes, another encoding. What cannot be read is
one error with the file and the reason. `natdeploy.documents` parses the text.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from natdeploy.errors import InputError

_MEGABYTE = 2**20
# How large files of a kind may be. Those in use are a tenth of it or less.
SETTINGS_BYTES = 4 * _MEGABYTE
DOCUMENT_BYTES = 8 * _MEGABYTE
REPORT_BYTES = 64 * _MEGABYTE
TABLE_BYTES = 16 * _MEGABYTE
JOURNAL_BYTES = 128 * _MEGABYTE
IMAGE_BYTES = 512 * _MEGABYTE
RECORDS_BYTES = 1024 * _MEGABYTE
MODEL_BYTES = 4096 * _MEGABYTE
WEIGHT_BYTES = 16384 * _MEGABYTE
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def require_file(path: Path, most_bytes: int = MODEL_BYTES) -> None:
    """Check that `path` is a regular file, and no larger than files of its kind can be.

    Raises:
        InputError: It is missing, too large or something else. The message says what.
    """
    with _translate_errors(path):
        _require_regular(path, Path(path).stat(), most_bytes)


def open_file(path: Path, most_bytes: int) -> io.BufferedReader:
    """Open a regular file for reading. A named pipe or a device is refused, not waited for.

    Raises:
        InputError: The file is missing, cannot be read, is larger than `most_bytes`, or is something else.
    """
    with _translate_errors(path), contextlib.ExitStack() as stack:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        stack.callback(os.close, descriptor)
        _require_regular(path, os.fstat(descriptor), most_bytes)
        stack.pop_all()
        return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """Read a file of at most `most_bytes`.

    Raises:
        InputError: As for `open_file`.
    """
    chunks, size_bytes = [], 0
    with open_file(path, most_bytes) as file, _translate_errors(path):
        while chunk := file.read(_MEGABYTE):
            size_bytes += len(chunk)
            if size_bytes > most_bytes:
                raise _refuse_size(path, size_bytes, most_bytes)
            chunks.append(chunk)
    return b"".join(chunks)


def read_text(path: Path, most_bytes: int = DOCUMENT_BYTES) -> str:
    r"""Read a text file in UTF-8, or in UTF-16 if a byte order mark says so.

    The mark is left out, and every line ends in `\n`. Editors and shells of Windows write such files.

    Raises:
        InputError: The file cannot be read, as for `open_file`, or is in another encoding.
    """
    content = read_bytes(path, most_bytes)
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = io.TextIOWrapper(io.BytesIO(content), encoding).read()
    except UnicodeDecodeError as error:
        msg = f"{path}: cannot be read: not a UTF-8 text file"
        raise InputError(msg) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        msg = f"{path}, line {line}: cannot be read: not a text file: it contains a zero byte"
        raise InputError(msg)
    return text


@contextlib.contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        link = Path(path).readlink() if Path(path).is_symlink() else None
        msg = f"{path}: {'no such file' if link is None else f'it is a link to {link}, which does not exist'}"
        raise InputError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise InputError(msg) from error
    except ValueError as error:
        # The name holds a zero byte, or letters that no file name can have.
        msg = f"{str(path)!r}: not the name of a file"
        raise InputError(msg) from error


def _require_regular(path: Path, found: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(found.st_mode)), "something else")
        msg = f"{path}: is {kind}, not a file"
        raise InputError(msg)
    if found.st_size > most_bytes:
        raise _refuse_size(path, found.st_size, most_bytes)


def _refuse_size(path: Path, size_bytes: int, most_bytes: int) -> InputError:
    most = f"at most {most_bytes // _MEGABYTE:,} MiB"
    return InputError(f"{path}: is {size_bytes / _MEGABYTE:,.1f} MiB large; files of this kind have {most}")
