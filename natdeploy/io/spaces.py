"""Finds search spaces: those that come with natdeploy, and those in files; or the part that a command asks for."""

from __future__ import annotations

import dataclasses
import functools
from importlib import resources
from pathlib import Path

import numpy as np

from natdeploy.core.architecture import Architecture, check_member
from natdeploy.core.checked import check_fields
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError, did_you_mean
from natdeploy.io.space_files import SUFFIX, compute_space_hash, read_space_file

FOLDER = "spaces"
# Architectures in files often name no supernet. They are looked for in these spaces first, then in the others.
_USUAL = ("nat", "starter")


def list_spaces() -> list[str]:
    """Return the names of the search spaces that come with natdeploy."""
    folder = resources.files("natdeploy") / FOLDER
    return sorted(entry.name.removesuffix(SUFFIX) for entry in folder.iterdir() if entry.name.endswith(SUFFIX))


def shipped_spaces() -> list[SearchSpace]:
    """Return the search spaces that come with natdeploy."""
    return [_read_shipped(name) for name in list_spaces()]


def find_space(name_or_file: str | Path) -> SearchSpace:
    """Return a search space.

    Args:
        name_or_file: Name of a space that comes with natdeploy, or a TOML file.

    Raises:
        InputError: The name is unknown, or the file is missing or not a search space. The message names key and reason.
    """
    given = str(name_or_file)
    known = list_spaces()
    if given in known:
        return _read_shipped(given)
    if not given.endswith(SUFFIX):
        msg = f"unknown supernet {given!r} (known: {', '.join(known)})"
        raise InputError(msg, hint=did_you_mean(given, known) or f"a file with a space of your own ends in {SUFFIX}")
    space = read_space_file(Path(given))
    if space.name in known:
        msg = f"{given}: {space.name!r} is the name of a space that comes with natdeploy"
        raise InputError(msg, hint="give the file another name")
    return space


def find_recorded_space(source: str, sha256: str) -> SearchSpace:
    """Return the space that a run started with.

    Args:
        source: Name or file of the space.
        sha256: Hash of the space when the run started. Empty if it was not recorded.

    Raises:
        InputError: The space has changed since, or its file is missing or not a search space.
    """
    space = find_space(source)
    if sha256 and compute_space_hash(space) != sha256:
        msg = f"{source}: the search space has changed since the run started"
        raise InputError(msg, hint="restore it, or start a new run")
    return space


def find_space_of(architecture: Architecture) -> SearchSpace:
    """Return the space of an architecture whose file names none: the first that comes with natdeploy and contains it.

    Raises:
        InputError: No known space has this width, or the architecture is in none of those that have.
    """
    fault: InputError | None = None
    names = [*_USUAL, *(name for name in list_spaces() if name not in _USUAL)]
    spaces = [find_space(name) for name in names]
    for space in spaces:
        try:
            space.width_index(architecture.width)
        except InputError:
            continue
        try:
            check_member(space, architecture)
        except InputError as error:
            fault = fault or error
        else:
            return space
    if fault is not None:
        raise fault
    known = sorted({width for space in spaces for width in space.widths})
    msg = f"no known supernet has width {architecture.width:g} (known widths: {', '.join(f'{w:g}' for w in known)})"
    raise InputError(msg, hint="name the space, or the file of your own, with --supernet")


@dataclasses.dataclass(frozen=True, slots=True)
class SpaceSelector:
    """Selects a search space, or a part of it. Functions that take one also take the name of a supernet alone.

    Args:
        supernet: Name of the supernet, or the TOML file of a space; None for the one that fits the images.
        resolutions: Input sizes in pixels; None for those of the space.
        width: The only width; None for all widths of the space.

    Raises:
        InputError: A value has the wrong type.
    """

    supernet: str | None = None
    resolutions: tuple[int, ...] | None = None
    width: float | None = None

    def __post_init__(self) -> None:
        check_fields(self)


def resolve_space(supernet: str | SpaceSelector) -> SearchSpace:
    """Return the search space that a supernet's name or a selector stands for.

    Raises:
        InputError: The supernet is unknown or not named, the width is unknown, or a resolution is out of range.
    """
    selector = SpaceSelector(supernet) if isinstance(supernet, str) else supernet
    if selector.supernet is None:
        msg = "no supernet is named"
        raise InputError(msg)
    space = find_space(selector.supernet)
    if selector.width is not None:
        space = dataclasses.replace(space, widths=(space.widths[space.width_index(selector.width)],))
    if selector.resolutions is not None:
        if not selector.resolutions:
            msg = "--resolutions is empty: list at least one resolution"
            raise InputError(msg)
        space = space.with_resolutions(tuple(np.unique(selector.resolutions).tolist()))
    return space


@functools.cache
def _read_shipped(name: str) -> SearchSpace:
    with resources.as_file(resources.files("natdeploy") / FOLDER / f"{name}{SUFFIX}") as path:
        return dataclasses.replace(read_space_file(path), source=name)
