"""What the weights of a supernet are before it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.io.supernet_weights import PACKAGED, Weights, find_weights, has_packaged, has_released
from natdeploy.ports import Reporter

if TYPE_CHECKING:
    from natdeploy.supernet.supernet import Supernet


def find_initial_weights(
    space: SearchSpace, given: Path | str | None, *, from_scratch: bool, reporter: Reporter
) -> Weights | None:
    """Return what a supernet begins with; None for random weights.

    Args:
        space: Its search space.
        given: A file, `packaged` or `released`; the packaged weights are taken where it is None and there are some.
        from_scratch: Whether random weights are wanted.
        reporter: Told what is taken.

    Raises:
        InputError: Both a file and random weights are wanted, or there are no such weights.
        OutputError: What was downloaded cannot be written.
    """
    if given is not None and from_scratch:
        msg = "weights are given, and random ones are wanted: only one of them can be"
        raise InputError(msg)
    if from_scratch or (given is None and not has_packaged(space)):
        if given is None and not from_scratch and has_released(space):
            reporter.warn(f"{space.name} begins with random weights; --weights released takes those that OFA released")
        return None
    return require_weights(space, given, reporter=reporter)


def require_weights(space: SearchSpace, given: Path | str | None, *, reporter: Reporter) -> Weights:
    """Return what a supernet begins with: a file, `released` ones, or the packaged ones where none are `given`.

    Raises:
        InputError: There are no such weights.
        OutputError: What was downloaded cannot be written.
    """
    weights = find_weights(space, PACKAGED if given is None else str(given), reporter)
    reporter.info(f"weights of {space.name}: {', '.join(str(file.path) for file in weights.files)}")
    return weights


def load_initial_weights(supernet: Supernet, name: str, sha256: Sequence[str], source: str) -> None:
    """Load the weights that a run began with into its supernet; a classifier for other classes is left random.

    Args:
        supernet: Supernet of the run.
        name: The weights, as the run records them; empty for random ones.
        sha256: Hashes of the files when it began.
        source: Where these are from.

    Raises:
        InputError: A file is missing, damaged, of another supernet, or has changed since.
    """
    if not name:
        return
    weights = find_weights(supernet.space, name)
    weights.require_unchanged(sha256, source)
    for file in weights.files:
        supernet.load_weights(file.path, file.width)
