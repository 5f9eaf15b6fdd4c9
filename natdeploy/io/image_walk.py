"""Walks through folders of images, and counts what it passes over."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from natdeploy.errors import InputError
from natdeploy.io.foreign_layouts import IMAGE_FOLDERS, MASK_FOLDERS
from natdeploy.io.image_content import is_image
from natdeploy.io.image_files import SUFFIXES

# Folders that systems and programs make. What lies in them was not put there by the user.
_SYSTEM = frozenset(
    {
        "__macosx",
        "__pycache__",
        "@eadir",
        "@recycle",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "lost+found",
        "system volume information",
    }
)
# Only below a class: a class may have such a name itself.
_THUMBNAILS = frozenset({"thumb", "thumbs", "thumbnail", "thumbnails"})
_UNREAD = frozenset(
    {".arw", ".avif", ".cr2", ".cr3", ".dcm", ".dng", ".exr", ".hdr", ".heic", ".heif", ".hif", ".j2k", ".jp2", ".jxl"}
    | {".nef", ".orf", ".psd", ".raf", ".raw", ".rw2", ".svg", ".tga"}
)
# Files of these kinds are never images, so their content is not looked at.
_TEXTS = frozenset({".csv", ".db", ".ini", ".json", ".md", ".txt", ".xml", ".yaml", ".yml"})
# `scan_mask.png` and `scan_mask_1.png` are masks of `scan.png`.
_MASK = re.compile(r"(?P<image>.+?)[ _-](mask|segmentation|seg|gt)([ _-]?\d+)?", re.IGNORECASE)


class ImageWalk:
    """Lists images, and remembers what it passes over.

    Attributes:
        others: Files that are no images, by suffix.
        unread: Pictures of a kind that is not read, by suffix.
        unnamed: Images whose names do not have the suffix of an image, by suffix.
        unused: Images that are not used, by the place where they are.
    """

    def __init__(self) -> None:
        self.others: Counter[str] = Counter()
        self.unread: Counter[str] = Counter()
        self.unnamed: Counter[str] = Counter()
        self.unused: Counter[str] = Counter()

    def list_folders(self, root: Path) -> list[str]:
        """Return the sorted names of the folders in `root`. Those of the system, and loose files, are counted.

        Raises:
            InputError: A folder cannot be read, or a link leads nowhere.
        """
        names: list[str] = []
        loose: list[Path] = []
        for entry in scan_folder(root):
            if entry.is_dir():
                if _is_system(entry.name):
                    self._pass_over(Path(entry.path))
                else:
                    names.append(entry.name)
            elif _is_broken_link(entry) and not Path(entry.name).suffix:
                msg = f"{entry.path}: it is a link to {Path(entry.path).readlink()}, which does not exist"
                raise InputError(msg, hint="restore the folder that it leads to, or remove the link")
            else:
                self._take_file(entry, loose)
        if loose:
            self.unused[f"in {root.name}/ itself, in no folder of a class"] += len(loose)
        return names

    def list_images(self, folder: Path) -> list[str]:
        """Return the paths of all images in a folder and its subfolders. Links are followed.

        Raises:
            InputError: A folder cannot be read.
        """
        found: list[Path] = []
        pending, seen = [folder], {os.path.realpath(folder)}
        while pending:
            entries = scan_folder(pending.pop())
            images = [entry.name for entry in entries if entry.name.lower() in IMAGE_FOLDERS and entry.is_dir()]
            files: list[Path] = []
            for entry in entries:
                if not entry.is_dir():
                    self._take_file(entry, files)
                elif images and entry.name.lower() in MASK_FOLDERS:
                    self._count_unused(Path(entry.path), f"in {entry.name}/, beside {images[0]}/")
                elif _is_system(entry.name) or entry.name.lower() in _THUMBNAILS:
                    self._pass_over(Path(entry.path))
                elif (real := os.path.realpath(entry.path)) in seen:
                    self.unused[f"in {entry.name}/, a link to a folder that is read already"] += 1
                else:
                    seen.add(real)
                    pending.append(Path(entry.path))
            found += self._drop_masks(files)
        return [str(path) for path in sorted(found)]

    def describe(self) -> str:
        """Return what was passed over without loss, as text; empty if nothing was."""
        return _join(f"{count} {suffix}" for suffix, count in sorted(self.others.items()))

    def describe_unused(self) -> str:
        """Return which images are not used, as text; empty if all are."""
        return "; ".join(f"{_count(count)} {place}" for place, count in sorted(self.unused.items()))

    def describe_unread(self) -> str:
        """Return which pictures are of a kind that is not read, as text; empty if there are none."""
        return _join(f"{count} {suffix}" for suffix, count in sorted(self.unread.items()))

    def describe_unnamed(self) -> str:
        """Return which images lack the suffix of an image, as text; empty if there are none."""
        return _join(f"{count} {suffix}" for suffix, count in sorted(self.unnamed.items()))

    def leave_out(self, folder: Path) -> None:
        """Count the images of a folder that is no part of the data set."""
        self._count_unused(folder, f"in {folder.name}/, beside the folders of the splits")

    def _pass_over(self, folder: Path) -> None:
        hidden = "hidden" if folder.name.startswith(".") else "made by a program"
        self._count_unused(folder, f"in {folder.name}/, which is {hidden}")

    def _count_unused(self, folder: Path, place: str) -> None:
        count = count_images(folder)
        if count:
            self.unused[place] += count

    def _take_file(self, entry: os.DirEntry[str], found: list[Path]) -> None:
        suffix = Path(entry.name).suffix.lower()
        broken = _is_broken_link(entry)
        if entry.name.startswith("."):
            self.others["hidden"] += 1
        elif not entry.is_file() and not broken:
            # Opening a pipe would wait for ever.
            self.others["pipes and devices"] += 1
        elif suffix in SUFFIXES or (broken and not suffix):
            # A link that leads nowhere is taken, so that the reader names it.
            found.append(Path(entry.path))
        elif suffix in _UNREAD:
            self.unread[suffix] += 1
        elif suffix not in _TEXTS and is_image(entry.path):
            self.unnamed[suffix or "without a suffix"] += 1
        else:
            self.others[suffix or "without a suffix"] += 1

    def _drop_masks(self, files: Sequence[Path]) -> list[Path]:
        """Return the images of a folder without those that are named as masks of others."""
        stems = {path.stem for path in files}
        masks = [path for path in files if (found := _MASK.fullmatch(path.stem)) and found["image"] in stems]
        if masks:
            self.unused["named as masks of the images beside them"] += len(masks)
        return [path for path in files if path not in set(masks)]


def count_images(folder: Path) -> int:
    """Return the number of files in a folder and its subfolders that are named like images."""
    return sum(Path(name).suffix.lower() in SUFFIXES for _, _, names in os.walk(folder) for name in names)


def scan_folder(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, sorted by name.

    Raises:
        InputError: The folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        msg = f"{error.filename}: cannot be read: {error.strerror}"
        raise InputError(msg) from error


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def _is_broken_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110


def _count(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _join(parts: Iterable[str]) -> str:
    return ", ".join(parts)
