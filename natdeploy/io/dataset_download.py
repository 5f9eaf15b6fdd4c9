"""Opens a published data set from its folder, and downloads it first if it is missing."""

from __future__ import annotations

import http.client
import tarfile
import zlib
from pathlib import Path

from scipy.io.matlab import MatReadError

from natdeploy.errors import InputError
from natdeploy.files import writing
from natdeploy.io.home import data_folder
from natdeploy.io.published_sets import PUBLISHED, Part, PublishedSet
from natdeploy.ports import Reporter
from natdeploy.temporary import temporary_folder

# Errors that torchvision and the readers that it uses raise on missing or damaged files.
_DAMAGE = (
    RuntimeError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    zlib.error,
    MatReadError,
)
_BROKEN_DOWNLOAD = (*_DAMAGE, http.client.HTTPException, tarfile.TarError)


def download_dataset(name: str, *, reporter: Reporter | None = None, download: bool = True) -> list[Part]:
    """Return the parts of the published data set `name`, the test images last. Download it if it is missing.

    Raises:
        InputError: The set is missing and cannot be downloaded, or its folder is not the set as published.
        OutputError: The folder for data sets cannot be written.
    """
    published, root = PUBLISHED[name], data_folder() / name
    if _is_missing(root):
        _download(published, root, reporter, allowed=download)
    try:
        parts = published.opener(root, download=False)
    except InputError as error:
        raise InputError(error.message, hint=_make_hint(published, root)) from error
    except _DAMAGE as error:
        msg = f"{root}: this is not {published.title} as published: {_describe_error(error)}"
        raise InputError(msg, hint=_make_hint(published, root)) from error
    _check(published, root, parts)
    return parts


def _download(published: PublishedSet, root: Path, reporter: Reporter | None, *, allowed: bool) -> None:
    if not (published.downloads and allowed):
        msg = f"{published.title} is not in {root}"
        raise InputError(msg, hint=_make_hint(published, root))
    if reporter is not None:
        reporter.info(f"{published.title} is not in {root}: downloading it")
    # Download to another folder first, so that a folder with the set's name is always complete.
    with writing(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(root.parent) as folder:
            temporary = folder / root.name
            temporary.mkdir()
            try:
                published.opener(temporary, download=True)
                # Another process may have been quicker.
                if _is_missing(root):
                    temporary.rename(root)
            except _BROKEN_DOWNLOAD as error:
                msg = f"{published.title} is not in {root} and cannot be downloaded: {_describe_error(error)}"
                raise InputError(msg, hint=_make_hint(published, root)) from error


def _check(published: PublishedSet, root: Path, parts: list[Part]) -> None:
    *train, test = parts
    names = [part for part in train if part.classes != test.classes]
    if names:
        differing = sorted(set(names[0].classes) ^ set(test.classes)) or ["their order"]
        msg = f"{root}: train and test images differ in their classes: {differing[0]}"
        raise InputError(msg, hint=_make_hint(published, root))
    held = {
        "classes": (len(test.classes), published.classes),
        "train images": (sum(len(part.labels) for part in train), published.train),
        "test images": (len(test.labels), published.test),
    }
    for what, (found, wanted) in held.items():
        if found != wanted:
            msg = f"{root}: it contains {found:,} {what}, but {published.title} has {wanted:,}"
            raise InputError(msg, hint=_make_hint(published, root))


def _make_hint(published: PublishedSet, root: Path) -> str:
    again = f"; or remove {root} to let natdeploy download it" if published.downloads and root.is_dir() else ""
    return f"get it from {published.source} and put {published.content} into {root}{again}"


def _describe_error(error: BaseException) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    # Users cannot follow torchvision's advice, and the text that urllib puts around a reason is of no use.
    return text.split(" You can use download=True")[0].rstrip(".").removeprefix("<urlopen error ").rstrip(">")


def _is_missing(root: Path) -> bool:
    try:
        return not root.exists() or not any(root.iterdir())
    except OSError as error:
        msg = f"{root}: cannot be read: {error.strerror}"
        raise InputError(msg) from error
