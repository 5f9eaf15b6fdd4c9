"""The weights of a supernet before it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.core.space import SearchSpace
from natdeploy.io.supernet_weights import PACKAGED, Weights, find_weights, has_packaged, has_released, read_task
from natdeploy.ports import Reporter

if TYPE_CHECKING:
    from natdeploy.supernet.data import Task
    from natdeploy.supernet.supernet import Supernet


RANDOM = "random"


def find_initial_weights(space: SearchSpace, given: Path | str | None, *, reporter: Reporter) -> Weights | None:
    """Return the initial weights of a supernet, or None for random weights.

    Args:
        space: Its search space.
        given: A file, `packaged`, `released` or `random`. None: the packaged weights if there are any.
        reporter: Receives the choice.

    Raises:
        InputError: There are no such weights.
        OutputError: Downloaded weights cannot be written.
    """
    if given == RANDOM:
        return None
    if given is None and not has_packaged(space):
        if has_released(space):
            reporter.warn(f"{space.name} starts from random weights; --weights released uses those that OFA released")
        return None
    return require_weights(space, given, reporter=reporter)


def require_weights(space: SearchSpace, given: Path | str | None, *, reporter: Reporter) -> Weights:
    """Return the weights `given` as a file, `packaged` or `released`; the packaged ones if None.

    Raises:
        InputError: There are no such weights.
        OutputError: Downloaded weights cannot be written.
    """
    weights = find_weights(space, PACKAGED if given is None else str(given), reporter)
    reporter.info(f"weights of {space.name}: {', '.join(str(file.path) for file in weights.files)}")
    return weights


def warn_of_changed_task(space: SearchSpace, name: str, task: Task, reporter: Reporter) -> None:
    """Warn if initial weights were trained on the same folder when it had other images.

    Args:
        space: Search space of the weights.
        name: Name of the weights in the settings of a run. Empty for random weights.
        task: The folder as it is now.
        reporter: Receives the warning.

    Raises:
        InputError: A file is missing or damaged.
    """
    from natdeploy.io.run_images import warn_of_other_images

    for file in find_weights(space, name).files if name else ():
        warn_of_other_images(read_task(file.path), task, reporter)


def load_initial_weights(supernet: Supernet, name: str, sha256: Sequence[str], source: str) -> None:
    """Load the initial weights of a run into its supernet. A classifier for another number of classes stays random.

    Args:
        supernet: Supernet of the run.
        name: Name of the weights in the run's settings. Empty for random weights.
        sha256: Hashes of their files when the run started.
        source: File of these settings, for messages.

    Raises:
        InputError: A file is missing or damaged, belongs to another supernet, or has changed since.
    """
    if not name:
        return
    weights = find_weights(supernet.space, name)
    weights.require_unchanged(sha256, source)
    for file in weights.files:
        supernet.load_weights(file.path, file.width)
