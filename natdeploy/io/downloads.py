"""Downloads single files."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from natdeploy.errors import InputError
from natdeploy.files import atomic_path
from natdeploy.ports import Reporter

_CHUNK = 1 << 20
_TIMEOUT_S = 30.0


class _UnreachableError(Exception):
    """The download failed, not this machine's disk. Both would raise `OSError`."""


def download(
    address: str, target: Path, *, check: Callable[[Path], object], hint: str, reporter: Reporter | None = None
) -> None:
    """Download a file. `target` exists only after the whole file has arrived and passed the check.

    Args:
        address: URL of the file.
        target: File to write.
        check: Checks the downloaded file, and raises an `InputError` if it is not the expected one.
        hint: Next step for the user if the download fails.
        reporter: Receives the progress in MB.

    Raises:
        InputError: The file cannot be downloaded, is incomplete, or fails the check.
        OutputError: The file cannot be written.
    """
    missing = f"{target.name} is not in {target.parent}"
    if reporter is not None:
        reporter.info(f"{missing}: downloading it from {address}")
    with atomic_path(target) as temporary:
        try:
            with temporary.open("wb") as handle:
                for part in _read_parts(address, target.name, reporter):
                    handle.write(part)
            check(temporary)
        except _UnreachableError as error:
            msg = f"{missing} and cannot be downloaded: {error}"
            raise InputError(msg, hint=hint) from error
        except InputError as error:
            reason = error.message.removeprefix(f"{temporary}: ").removeprefix("is ")
            msg = f"{missing} and cannot be downloaded: the file from {address} is {reason}"
            raise InputError(msg, hint=hint) from error


def _read_parts(address: str, name: str, reporter: Reporter | None) -> Iterator[bytes]:
    done = 0
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as response:  # noqa: S310, natdeploy's own address
            total = int(response.headers.get("Content-Length") or 0)
            while part := response.read(_CHUNK):
                done += len(part)
                if reporter is not None and total:
                    reporter.progress(f"downloading {name}", done // _CHUNK, max(1, total // _CHUNK), "MB")
                yield part
    except urllib.error.HTTPError as error:
        error.close()
        raise _UnreachableError(str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        # The text that urllib puts around a reason is of no use.
        reason = str(error).removeprefix("<urlopen error ").removesuffix(">") or type(error).__name__
        raise _UnreachableError(reason) from error
    if done < total:
        msg = f"it was cut short after {done:,} of {total:,} bytes"
        raise _UnreachableError(msg)
