"""Finds the initial weights of a supernet: a user's file, the packaged file, or the files released by OFA."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from natdeploy.core.space import SearchSpace
from natdeploy.documents import parse_json
from natdeploy.errors import InputError
from natdeploy.files import write_text
from natdeploy.io.downloads import download
from natdeploy.io.home import home_folder
from natdeploy.io.spaces import find_space, list_spaces
from natdeploy.io.subnet_keys import TaskKeys, parse_object, validate
from natdeploy.ports import Reporter
from natdeploy.readers import WEIGHT_BYTES, open_file, read_text
from natdeploy.supernet.weight_files import read_metadata, require_weight_file

PACKAGED, RELEASED = WORDS = ("packaged", "released")
# The key of a weight file's metadata under which the task of its classifier is described, as in a subnet file.
TASK = "task"
# The key under which the settings are that the weights were trained with.
TRAINING = "training"
FOLDER = "weights"
# mit-han-lab/once-for-all downloads them from here. No checksums were published.
RELEASED_ADDRESS = "https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/"
# Mean and standard deviation, as in once-for-all's ImagenetDataProvider.
_IMAGENET_NORMALIZATION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_RELEASED_SPACE, _RELEASED_WIDTHS = "nat", (1.0, 1.2)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WeightFile:
    """A weight file of a supernet.

    Args:
        path: The file.
        width: Width multiplier of the weights. None if the space has only one, or if the file states it.
        sha256: SHA-256 of the file, hexadecimal.
    """

    path: Path
    width: float | None
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Initial weights of a supernet.

    Args:
        name: Name that a run records: `packaged`, `released`, or the absolute path of a file.
        files: The weight files.
    """

    name: str
    files: tuple[WeightFile, ...]

    @property
    def sha256(self) -> tuple[str, ...]:
        """SHA-256 of each file."""
        return tuple(file.sha256 for file in self.files)

    def read_normalization(self) -> tuple[tuple[float, float, float], ...]:
        """Return mean and standard deviation of the channels that the weights were trained with; empty if unknown.

        Raises:
            InputError: A file is damaged.
        """
        if self.name == RELEASED:
            return _IMAGENET_NORMALIZATION
        task = read_task(self.files[0].path)
        return () if task is None else (tuple(task["mean"]), tuple(task["std"]))

    def require_unchanged(self, sha256: Sequence[str], source: str) -> None:
        """Check that the files are those that a run started with.

        Args:
            sha256: Hashes of the files when the run started. Empty if the run did not record them.
            source: File that recorded the hashes, used in messages.

        Raises:
            InputError: A file has changed since. The message names it.
        """
        for file, recorded in zip(self.files, sha256, strict=False):
            if file.sha256 != recorded:
                msg = (
                    f"{file.path}: its sha256 begins with {file.sha256[:12]}; "
                    f"{source} started with weights ({self.name}) whose sha256 begins with {recorded[:12]}"
                )
                raise InputError(msg, hint="restore the original file, or start a new run")


def packaged_folder() -> Path:
    """Return the folder of the weights packaged with natdeploy. It need not exist."""
    with resources.as_file(resources.files("natdeploy") / FOLDER) as folder:
        return folder


def has_packaged(space: SearchSpace) -> bool:
    """Tell whether natdeploy packages weights for a supernet."""
    return _make_packaged_path(space).is_file()


def read_task(path: Path) -> dict[str, Any] | None:
    """Return the task of the classifier in a supernet's weight file, as a subnet file describes it; None if unknown.

    Raises:
        InputError: The file is damaged, or the description is not valid. The message names the key.
    """
    text = read_metadata(path).get(TASK)
    if text is None:
        return None
    try:
        return validate(TaskKeys, parse_object(text)).model_dump(exclude_none=True)
    except InputError as error:
        msg = f"{path}: the task in its metadata: {error.message}"
        raise InputError(msg) from error


def read_supernet(path: Path) -> str | None:
    """Return the name or the file of the space that a weight file says it is of; None if it does not say.

    Raises:
        InputError: The file is damaged.
    """
    try:
        settings = parse_json(read_metadata(path).get(TRAINING, "null"))
    except ValueError:
        return None
    named = settings.get("supernet") if isinstance(settings, dict) else None
    return named if isinstance(named, str) and (named in list_spaces() or Path(named).is_file()) else None


def find_packaged_task(space: SearchSpace) -> dict[str, Any] | None:
    """Return the task of the weights packaged for a supernet; None if there are none, or they have no task.

    Raises:
        InputError: The file is damaged.
    """
    return read_task(_make_packaged_path(space)) if has_packaged(space) else None


def has_released(space: SearchSpace) -> bool:
    """Tell whether OFA released weights for every width of a supernet."""
    return set(space.widths) <= set(_RELEASED_WIDTHS) and space.has_networks_of(find_space(_RELEASED_SPACE))


def find_weights(space: SearchSpace, name: str, reporter: Reporter | None = None) -> Weights:
    """Return the weights called `name`. Missing released weights are downloaded.

    Args:
        space: Search space of the supernet.
        name: `packaged`, `released`, or the path of a file.
        reporter: Receives the progress of a download.

    Raises:
        InputError: There are no such weights, the file is missing or damaged, or the download fails.
        OutputError: The downloaded file cannot be written.
    """
    if name == RELEASED:
        return Weights(name=name, files=tuple(_find_released_file(space, width, reporter) for width in space.widths))
    path = _make_packaged_path(space) if name == PACKAGED else Path(name).resolve()
    if name == PACKAGED and not path.is_file():
        msg = f"no weights are packaged for supernet {space.name}"
        raise InputError(msg, hint=f"pass a file with --weights{', or --weights released' * has_released(space)}")
    # This is refused before torch is imported.
    require_weight_file(path)
    from natdeploy.supernet.checkpoints import read_state

    read_state(path, reporter.info if reporter else None)
    return Weights(
        name=name if name == PACKAGED else str(path),
        files=(WeightFile(path=path, width=None, sha256=compute_sha256(path)),),
    )


def _make_packaged_path(space: SearchSpace) -> Path:
    return packaged_folder() / f"{space.name}.safetensors"


def _find_released_file(space: SearchSpace, width: float, reporter: Reporter | None) -> WeightFile:
    if not has_released(space):
        msg = f"OFA released no weights for supernet {space.name}, only for nat and its two widths"
        raise InputError(msg, hint="pass a file with --weights")
    name = f"ofa_mbv3_d234_e346_k357_w{width:.1f}"
    path, address = home_folder() / FOLDER / name, RELEASED_ADDRESS + name
    if not path.is_file():
        from natdeploy.supernet.checkpoints import read_state

        hint = f"get it from {address} and save it as {path}, or pass a file with --weights"
        download(address, path, check=read_state, hint=hint, reporter=reporter)
    return WeightFile(path=path, width=width, sha256=_compute_trusted_sha256(path))


def _compute_trusted_sha256(path: Path) -> str:
    """Return the hash of a file, and check it against the hash recorded beside the file at its first use."""
    record, found = path.with_name(f"{path.name}.sha256"), compute_sha256(path)
    if not record.exists():
        write_text(record, f"{found}  {path.name}\n")
    elif read_text(record).split()[:1] != [found]:
        msg = f"{path}: its sha256 is {found}, no longer the one in {record.name}"
        raise InputError(
            msg, hint=f"remove {path} to download it again; if the change is intended, remove {record} instead"
        )
    return found


def compute_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal.

    Raises:
        InputError: The file cannot be read.
    """
    with open_file(path, WEIGHT_BYTES) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
