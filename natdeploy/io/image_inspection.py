"""Reads all images of a data set once. The same pass finds damaged images, copies, and images without content."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from natdeploy.errors import InputError
from natdeploy.io.image_files import SquareReader, read_file
from natdeploy.ports import Reporter
from natdeploy.supernet.data import ImageSet
from natdeploy.supernet.image_record import SPLITS, ImageRecord
from natdeploy.supernet.images import ImageFiles, Pixels, count_bytes, iterate_batches

# From so many images on, the progress of reading is reported.
_MANY = 500
_CHUNK = 128
_DIGEST_BYTES = 8
# A message lists at most so many damaged images.
_LISTED = 50
_BLOCKS = 8
# Images of which no part differs more than this, as a standard deviation of brightness of 255, look all alike.
_ALIKE = 1.5
# A set whose parts all lie within so many of 255 levels was made with another range.
_NARROW = 32


class _Note(NamedTuple):
    size_bytes: int
    digest: str
    square: bytes


class ImageInspection:
    """Reads images, and notes what it sees.

    Args:
        reporter: Receives the progress of many images.
    """

    def __init__(self, reporter: Reporter | None) -> None:
        self._reporter = reporter
        self._lock = threading.Lock()
        self._faults: dict[str, str] = {}
        self._notes: dict[str, _Note] = {}
        self._sum = np.zeros((_BLOCKS, _BLOCKS, 3))
        self._sum_of_squares = np.zeros_like(self._sum)
        self._low, self._high = 255.0, 0.0

    def read(self, splits: Mapping[str, ImageSet], room: int, *, check: bool = True) -> dict[str, ImageSet]:
        """Read all images once, and return the splits: in memory if they fit into `room` bytes, else unchanged.

        Args:
            splits: The splits.
            room: Memory that they may take.
            check: Whether they are read once even if they do not fit.

        Raises:
            InputError: Images cannot be read. The message names all of them.
        """
        keep = sum(count_bytes(split.images) for split in splits.values()) <= room
        if not keep and not check:
            return dict(splits)
        total = sum(len(split) for split in splits.values())
        self._done = 0
        read = {name: self._read_split(split, total, keep=keep) for name, split in splits.items()}
        self._require_readable()
        return read if keep else dict(splits)

    @property
    def digests(self) -> dict[str, str]:
        """Digest of the file of each image that was read, by path."""
        return {path: note.digest for path, note in self._notes.items()}

    def record(self, folder: Path, splits: Mapping[str, ImageSet], classes: Sequence[str]) -> tuple[ImageRecord, ...]:
        """Return what a run remembers of the images of a folder that were read.

        Args:
            folder: Folder of the data set.
            splits: The splits as they were before they were read.
            classes: Names of the classes; empty for pictures without labels.
        """
        return tuple(
            ImageRecord(
                split=name,
                label=classes[label] if classes else "",
                file=Path(path).relative_to(folder).as_posix(),
                size_bytes=self._notes[path].size_bytes,
                digest=self._notes[path].digest,
            )
            for name in SPLITS
            for path, label in (_list_paths(splits[name]) if name in splits else [])
        )

    def warn(self, splits: Mapping[str, ImageSet], reporter: Reporter) -> None:
        """Warn of images that are all alike or lack contrast, of copies between splits, and of images in two classes.

        Args:
            splits: The splits as they were before they were read.
            reporter: Receives the warnings.
        """
        count = len(self._notes)
        if count < 2:
            return
        spread = np.sqrt(np.maximum(self._sum_of_squares / count - (self._sum / count) ** 2, 0)).max()
        if spread < _ALIKE:
            reporter.warn(
                f"all {count} images look nearly alike to a network: no part of them varies by more than "
                f"{spread:.1f} of 255 levels; look at them, and convert them to 8 bits with full contrast"
            )
            return
        if self._high - self._low < _NARROW:
            reporter.warn(
                f"all {count} images have hardly any contrast: no part of them is darker than level {self._low:.0f} "
                f"or brighter than level {self._high:.0f} of 255; look at them, and if they have 16 bits for each "
                "colour, convert them to 8 bits with full contrast"
            )
        self._warn_of_two_classes(splits, reporter)
        self._warn_of_copies(splits, reporter)

    def _warn_of_two_classes(self, splits: Mapping[str, ImageSet], reporter: Reporter) -> None:
        known: dict[bytes, dict[int, str]] = {}
        for split in splits.values():
            for path, label in _list_paths(split):
                known.setdefault(self._notes[path].square, {}).setdefault(label, path)
        twice = [list(places.values()) for places in known.values() if len(places) > 1]
        if twice:
            count = "1 image is" if len(twice) == 1 else f"{len(twice)} images are"
            reporter.warn(
                f"{count} in more than one class, such as {twice[0][0]} and {twice[0][1]}: remove the wrong ones"
            )

    def _warn_of_copies(self, splits: Mapping[str, ImageSet], reporter: Reporter) -> None:
        seen: dict[bytes, str] = {}
        earlier: list[str] = []
        for name, split in splits.items():
            own = {path: self._notes[path].square for path, _ in _list_paths(split)}
            copies = [path for path, square in own.items() if square in seen]
            if copies:
                verb = "is a copy" if len(copies) == 1 else "are copies"
                reporter.warn(
                    f"{len(copies)} of {len(own)} {name} images {verb} of {' or '.join(earlier)} images, such as "
                    f"{copies[0]} of {seen[own[copies[0]]]}: the top-1 on them is too high; remove the copies"
                )
            seen |= {square: path for path, square in own.items()}
            earlier.append(name)

    def _read_split(self, split: ImageSet, total: int, *, keep: bool) -> ImageSet:
        images = split.images
        if not isinstance(images, ImageFiles):
            return split
        assert isinstance(images.read, SquareReader)
        noted = dataclasses.replace(images, read=functools.partial(self._read, images.read))
        if keep:
            return dataclasses.replace(split, images=noted).load(functools.partial(self._step, total))
        for pixels in iterate_batches(noted, torch.arange(len(noted)).split(_CHUNK)):
            self._step(total, len(pixels))
        return split

    def _step(self, total: int, count: int) -> None:
        self._done += count
        if self._reporter is not None and total >= _MANY:
            self._reporter.progress("reading images", self._done, total)

    def _read(self, reader: SquareReader, path: str) -> Pixels:
        try:
            content = read_file(path)
            pixels = reader.decode(path, content)
        except InputError as error:
            self._faults[path] = error.message
            return np.zeros((reader.size, reader.size, 3), dtype=np.uint8)
        self._notes[path] = _Note(len(content), _digest(content).hex(), _digest(pixels.tobytes()))
        blocks = _average(pixels)
        with self._lock:
            self._sum += blocks
            self._sum_of_squares += blocks**2
            self._low, self._high = min(self._low, blocks.min()), max(self._high, blocks.max())
        return pixels

    def _require_readable(self) -> None:
        faults = [self._faults[path] for path in sorted(self._faults)]
        if len(faults) == 1:
            raise InputError(faults[0], hint="replace or remove it")
        if faults:
            more = f"\n  and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
            lines = "".join(f"\n  {fault}" for fault in faults[:_LISTED])
            msg = f"{len(faults)} images cannot be read:{lines}{more}"
            raise InputError(msg, hint="replace or remove them")


def digest_listing(folder: Path, splits: Mapping[str, ImageSet]) -> str:
    """Return a digest of the names and sizes of the images of a folder, in whatever split they are."""
    paths = sorted(path for split in splits.values() for path, _ in _list_paths(split))
    lines = [f"{Path(path).relative_to(folder).as_posix()}\0{_find_size(path)}\n" for path in paths]
    return _digest("".join(lines).encode(errors="surrogateescape")).hex()


def _find_size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        # The image cannot be read either, which is an error of its own.
        return 0


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _average(pixels: Pixels) -> np.ndarray:
    """Return the mean colours of a grid of blocks of an image."""
    size = len(pixels)
    edges = np.arange(_BLOCKS) * size // _BLOCKS
    if size < _BLOCKS:
        return np.broadcast_to(pixels.mean(axis=(0, 1)), (_BLOCKS, _BLOCKS, 3))
    sums = np.add.reduceat(np.add.reduceat(pixels, edges, axis=0, dtype=np.float64), edges, axis=1)
    lengths = np.diff([*edges, size])
    averages: np.ndarray = sums / (lengths[:, None, None] * lengths[None, :, None])
    return averages


def _list_paths(split: ImageSet) -> list[tuple[str, int]]:
    if not isinstance(split.images, ImageFiles):
        return []
    return list(zip(split.images.paths.tolist(), split.labels.tolist(), strict=True))
