"""The weight files that a supernet begins with: a user's own, the packaged one, or those that OFA released."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.files import read_text, write_text
from natdeploy.io.downloads import download
from natdeploy.io.home import home_folder
from natdeploy.ports import Reporter

PACKAGED, RELEASED = WORDS = ("packaged", "released")
FOLDER = "weights"
# Where mit-han-lab/once-for-all itself fetches them from; no checksums were published.
RELEASED_ADDRESS = "https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/"
_RELEASED_WIDTHS = (1.0, 1.2)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WeightFile:
    """A weight file of a supernet.

    Args:
        path: The file.
        width: Width that it belongs to; None where the space has one, or the file tells.
        sha256: SHA-256 of its content, hexadecimal.
    """

    path: Path
    width: float | None
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """What a supernet begins with.

    Args:
        name: What a run records: `packaged`, `released`, or the absolute path of a file.
        files: The files.
    """

    name: str
    files: tuple[WeightFile, ...]

    @property
    def sha256(self) -> tuple[str, ...]:
        """The hash of each file."""
        return tuple(file.sha256 for file in self.files)

    def require_unchanged(self, sha256: Sequence[str], source: str) -> None:
        """Check that the files are those that a run began with.

        Args:
            sha256: Their hashes when it began; none where it does not tell.
            source: Where these are from.

        Raises:
            InputError: A file is another one by now; the message names it.
        """
        for file, recorded in zip(self.files, sha256, strict=False):
            if file.sha256 != recorded:
                msg = (
                    f"{file.path}: its sha256 begins with {file.sha256[:12]}; "
                    f"{source} was begun with weights ({self.name}) of {recorded[:12]}"
                )
                raise InputError(msg, hint="put the former file back, or begin a new run")


def packaged_folder() -> Path:
    """Return the folder of the weights that natdeploy ships; it need not exist."""
    with resources.as_file(resources.files("natdeploy") / FOLDER) as folder:
        return folder


def has_packaged(space: SearchSpace) -> bool:
    """Tell whether natdeploy ships weights of a supernet."""
    return _packaged_file(space).is_file()


def has_released(space: SearchSpace) -> bool:
    """Tell whether OFA released weights of a supernet, of all of its widths."""
    return set(space.widths) <= set(_RELEASED_WIDTHS)


def find_weights(space: SearchSpace, name: str, reporter: Reporter | None = None) -> Weights:
    """Return the weights called `name`; released ones that are missing are downloaded.

    Args:
        space: Search space of the supernet.
        name: `packaged`, `released`, or a file.
        reporter: Told of a download.

    Raises:
        InputError: There are none: the file is missing or damaged, or the download fails.
        OutputError: What was downloaded cannot be written.
    """
    if name == RELEASED:
        return Weights(name=name, files=tuple(_released_file(space, width, reporter) for width in space.widths))
    path = _packaged_file(space) if name == PACKAGED else Path(name).resolve()
    if name == PACKAGED and not path.is_file():
        msg = f"no weights are packaged for supernet {space.name}"
        raise InputError(msg, hint=f"give a file with --weights{', or --weights released' * has_released(space)}")
    if not path.is_file():
        msg = f"{path}: no such file"
        raise InputError(msg)
    from natdeploy.supernet.checkpoints import read_state

    read_state(path)
    return Weights(
        name=name if name == PACKAGED else str(path), files=(WeightFile(path=path, width=None, sha256=_sha256(path)),)
    )


def _packaged_file(space: SearchSpace) -> Path:
    return packaged_folder() / f"{space.name}.safetensors"


def _released_file(space: SearchSpace, width: float, reporter: Reporter | None) -> WeightFile:
    if not has_released(space):
        msg = f"OFA released no weights for supernet {space.name}, only for widths 1.0 and 1.2"
        raise InputError(msg, hint="give a file with --weights")
    name = f"ofa_mbv3_d234_e346_k357_w{width:.1f}"
    path, address = home_folder() / FOLDER / name, RELEASED_ADDRESS + name
    if not path.is_file():
        from natdeploy.supernet.checkpoints import read_state

        hint = f"get it from {address} and save it as {path}, or give a file with --weights"
        download(address, path, check=read_state, hint=hint, reporter=reporter)
    return WeightFile(path=path, width=width, sha256=_trusted_sha256(path))


def _trusted_sha256(path: Path) -> str:
    """Return the hash of a file, the same as when it was first used: then it is written beside it."""
    record, found = path.with_name(f"{path.name}.sha256"), _sha256(path)
    if not record.exists():
        write_text(record, f"{found}  {path.name}\n")
    elif read_text(record).split()[:1] != [found]:
        msg = f"{path}: its sha256 is {found}, no longer the one in {record.name}"
        raise InputError(msg, hint=f"remove {path} to have it downloaded again; where that is meant, {record} too")
    return found


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise InputError(msg) from error
