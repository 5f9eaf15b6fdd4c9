"""Downloading a file."""

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
    """The other side failed, not this machine's disk: both raise `OSError`."""


def download(
    address: str, target: Path, *, check: Callable[[Path], object], hint: str, reporter: Reporter | None = None
) -> None:
    """Download a file; `target` is there only once all of it has come and was found good.

    Args:
        address: Address.
        target: File to write.
        check: Looks at what has come, and raises an `InputError` where it is not what was wanted.
        hint: What to do where the download fails.
        reporter: Told how far it is, in MB.

    Raises:
        InputError: It cannot be downloaded, is cut short, or fails the check.
        OutputError: The file cannot be written.
    """
    missing = f"{target.name} is not in {target.parent}"
    if reporter is not None:
        reporter.info(f"{missing}: downloading it from {address}")
    with atomic_path(target) as temporary:
        try:
            with temporary.open("wb") as handle:
                for part in _parts(address, target.name, reporter):
                    handle.write(part)
            check(temporary)
        except _UnreachableError as error:
            msg = f"{missing} and cannot be downloaded: {error}"
            raise InputError(msg, hint=hint) from error
        except InputError as error:
            reason = error.message.removeprefix(f"{temporary}: ")
            msg = f"{missing} and cannot be downloaded: what came from {address} is {reason}"
            raise InputError(msg, hint=hint) from error


def _parts(address: str, name: str, reporter: Reporter | None) -> Iterator[bytes]:
    done = 0
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as response:  # noqa: S310, an address of ours
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
        # urllib's frame around a reason helps nobody.
        reason = str(error).removeprefix("<urlopen error ").removesuffix(">") or type(error).__name__
        raise _UnreachableError(reason) from error
    if done < total:
        msg = f"it was cut short after {done:,} of {total:,} bytes"
        raise _UnreachableError(msg)
