"""Reading and writing files: a file is either whole or not there."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import math
import shutil
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from natdeploy.errors import InputError, NatdeployError, OutputError
from natdeploy.temporary import temporary_folder


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path, and rename it to `path` if the block ends without an error.

    The temporary file has the name of `path`, because some writers depend on it, and lies in a temporary folder beside
    `path`. If the block raises an error, an existing `path` stays unchanged. Errors name `path`.

    Raises:
        OutputError: The folder cannot be created or written, or the disk is full.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent) as folder:
            temporary = folder / path.name
            temporary.touch()
            try:
                yield temporary
            except NatdeployError as error:
                error.message = error.message.replace(str(temporary), str(path))
                error.args = (error.message,)
                raise
            temporary.replace(path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` raised while writing `path` into an `OutputError` that names `path`."""
    try:
        yield
    except NatdeployError:
        raise
    except OSError as error:
        in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a file has the name of a folder that is needed" if in_the_way else error.strerror or error
        msg = f"cannot write {path}: {reason}"
        raise OutputError(msg, hint="choose another place with --output, or free some space") from error


def require_writable(path: Path) -> None:
    """Check that `path` can be written. Call this before long work whose result goes there.

    Raises:
        OutputError: The folder of `path` cannot be created or written.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()


def keep_former(path: Path) -> Path | None:
    """Copy a file that is about to be replaced to `<name>.bak` beside it, and return the path of the copy.

    Returns None if there is no such file.

    Raises:
        OutputError: The copy cannot be written.
    """
    if not path.exists():
        return None
    kept = path.with_name(f"{path.name}.bak")
    with atomic_path(kept) as temporary:
        shutil.copyfile(path, temporary)
    return kept


def require_apart(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Check that no output replaces a file that is read.

    Raises:
        InputError: An output is also an input.
    """
    taken = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in taken:
            msg = f"{path}: this output would replace the file that is read"
            raise InputError(msg, hint="choose another --output")


def require_file(path: Path) -> None:
    """Check that `path` is a file.

    Raises:
        InputError: It is missing, or is something else.
    """
    try:
        if path.is_file():
            return
        other = "is a folder, not a file" if path.is_dir() else "is not a file"
        msg = f"{path}: {other if path.exists() else 'no such file'}"
    except OSError as error:
        msg = f"{path}: {error.strerror}"
    raise InputError(msg)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def parse_json(text: str) -> Any:  # noqa: ANN401
    """Parse JSON.

    Raises:
        ValueError: The text is not JSON, holds `NaN`, `Infinity` or a number that is too large, or repeats a key of an
            object.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_float, object_pairs_hook=_make_object)


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not a number of JSON"
    raise ValueError(msg)


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        msg = f"{text[:40]} is too large for a number"
        raise ValueError(msg)
    return value


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        msg = f"key {next(name for name in names if names.count(name) > 1)!r} is repeated"
        raise ValueError(msg)
    return made


def read_text(source: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 if a byte order mark says so. The mark itself is left out.

    Editors and shells of Windows write such files.

    Raises:
        InputError: The file is missing, a folder, unreadable or in another encoding.
    """
    try:
        raw = Path(source).read_bytes()
        encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        return io.TextIOWrapper(io.BytesIO(raw), encoding).read()
    except IsADirectoryError as error:
        msg = f"{source}: is a folder, not a file"
        raise InputError(msg) from error
    except FileNotFoundError as error:
        msg = f"{source}: no such file"
        raise InputError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a UTF-8 text file"
        msg = f"{source}: cannot be read: {reason}"
        raise InputError(msg) from error


def read_toml(source: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        InputError: The file cannot be read, is not TOML, or is nested too deeply.
    """
    text = read_text(source)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        msg = f"{source}: not valid TOML: it is nested too deeply"
        raise InputError(msg) from error
    except ValueError as error:
        # Python names a setting of its own for whole numbers of thousands of digits.
        msg = f"{source}: not valid TOML: {str(error).partition('; use')[0]}"
        raise InputError(msg) from error
