"""Writes files: a file is either whole or not there."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from natdeploy.errors import InputError, NatdeployError, OutputError
from natdeploy.temporary import remove_stale, temporary_folder


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
    """Check that `path` can be written, and remove what a kill has left there. Call this before long work.

    Raises:
        OutputError: The folder of `path` cannot be created or written.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(path.parent)
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


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
