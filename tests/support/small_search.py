"""Searches as small as can be: for one board with a made-up table, on a sixth of the digits."""

import dataclasses
from pathlib import Path

import pytest
from sklearn import datasets

from natdeploy import api
from natdeploy.core.device import find_deployment
from natdeploy.core.latency import LatencyTable
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.io.table_store import table_path
from natdeploy.io.tables import write_table
from natdeploy.testing.tables import made_up_table

BOARD, OTHER = "jetson-nano", "jetson-xavier-nx"
EFFORT = {
    "warmup_epochs": 1,
    "largest_only_epochs": 1,
    "adapt_epochs": 1,
    "initial": 6,
    "iterations": 1,
    "candidates": 2,
    "ensemble_size": 5,
    "population": 12,
    "generations": 3,
    "batch_size": 128,
    "min_steps_per_epoch": 0,
    "recalibration_images": 64,
}
GOAL = tuple(field.name for field in dataclasses.fields(api.SearchGoal))


def prepare(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Make `home` the user's folder, with a table of the board, and the digits few."""
    pixels, labels = datasets.load_digits(return_X_y=True)
    patch.setenv("NATDEPLOY_HOME", str(home))
    patch.setattr(datasets, "load_digits", lambda *, return_X_y: (pixels[::6], labels[::6]))
    write_board_table(BOARD)


def write_board_table(device: str, resolutions: tuple[int, ...] = (32, 40, 48)) -> None:
    """Write the made-up table of a board."""
    write_table(table_path(find_deployment(find_device(device))), board_table(device, resolutions))


def board_table(device: str, resolutions: tuple[int, ...] = (32, 40, 48)) -> LatencyTable:
    """Return a made-up table of a board, which covers some resolutions."""
    space = find_space("starter").with_resolutions(resolutions)
    return made_up_table(space, deployment=find_deployment(find_device(device)), provenance="estimated")


def small_search(**changes: object) -> api.SearchResult:
    """Search as little as can be searched, from random weights unless others are given.

    Args:
        changes: Arguments of `natdeploy.api.search`, fields of its goal, and `resolutions`.
    """
    goal = {name: changes.pop(name) for name in GOAL if name in changes}
    settings = {
        "supernet": api.SpaceSelector("starter", changes.pop("resolutions", (32,))),  # type: ignore[arg-type]
        "weights": "random",
        "goal": api.SearchGoal(**{"devices": (BOARD,), **goal}),  # type: ignore[arg-type]
        "preset": api.find_preset("quick", EFFORT),
        "threads": 1,
        "seed": 5,
    }
    return api.search(**{**settings, **changes})  # type: ignore[arg-type]
