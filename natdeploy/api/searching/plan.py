"""The plan of a search: the content of run.toml."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from natdeploy.api.searching.presets import Preset
from natdeploy.core.checked import check_fields
from natdeploy.core.ranges import NonNegative, Positive
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.io.run_config import parse_config
from natdeploy.io.spaces import find_recorded_space
from natdeploy.search.problem import SearchGoal


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchPlan:
    """Everything that determines a search; the content of `run.toml`.

    Args:
        supernet: Name of the search space, or the absolute path of its file.
        resolutions: Input sizes that are searched.
        widths: Widths that are searched.
        data: Name or folder of the data set.
        goal: Objectives, limits and preference.
        weights: Initial weights of the supernet: `packaged`, `released` or an absolute path; empty for random weights.
        preset: How thoroughly to train and search.
        seed: Seed.
        threads: Threads to train with.
        alias: Whether the first choice is also written as `./subnet.json`.
        weights_sha256: Hashes of the files of the initial weights.
        normalization: Mean and standard deviation of the colour channels that the initial weights were trained with.
            Empty: those of the train images.
        space_sha256: Hash of the networks of the space when the run started. Empty if it was not recorded.
        tables_sha256: Hashes of the copies of the latency tables, by device. A run may have recorded none.
    """

    supernet: str
    resolutions: tuple[int, ...]
    widths: tuple[float, ...]
    data: str
    goal: SearchGoal
    weights: str
    preset: Preset
    seed: NonNegative
    threads: Positive
    alias: bool = False
    weights_sha256: tuple[str, ...] = ()
    normalization: tuple[tuple[float, float, float], ...] = ()
    space_sha256: str = ""
    tables_sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def space(self) -> SearchSpace:
        """The search space.

        Raises:
            InputError: It has changed since the run started, or its file is missing.
        """
        space = find_recorded_space(self.supernet, self.space_sha256)
        return dataclasses.replace(space, resolutions=self.resolutions, widths=self.widths)

    def check_space(self) -> None:
        """Check that the space is as it was when the run started.

        Raises:
            InputError: It is not so.
        """
        _ = self.space

    @property
    def first_epochs(self) -> int:
        """Epochs before the first archive."""
        return self.preset.warmup_epochs if self.weights else self.preset.scratch_epochs

    @property
    def total_epochs(self) -> int:
        """Epochs of the whole search."""
        return self.first_epochs + self.preset.search.iterations * self.preset.adapt_epochs

    @property
    def largest_only_epochs(self) -> int:
        """Number of these that train the largest network alone; none from pretrained weights."""
        return 0 if self.weights else min(self.preset.largest_only_epochs, self.first_epochs)

    def to_config(self) -> dict[str, Any]:
        """Return the content of `run.toml`."""
        config = dataclasses.asdict(self)
        goal, preset = config.pop("goal"), config.pop("preset")
        return {"search": config, "goal": goal, "preset": preset}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], source: str) -> SearchPlan:
        """Read what `to_config` returned.

        Raises:
            InputError: A key is missing, unknown or of the wrong type; the message names it.
        """
        if "surrogate_search" in config:
            msg = f"{source}: is of a search without training, which is complete and has no supernet"
            hint = (
                "take weights for its subnets with natdeploy extract SUBNET --supernet NAME --weights FILE; "
                "for other targets, search again with --accuracy"
            )
            raise InputError(msg, hint=hint)
        if "reselection" in config:
            msg = f"{source}: is of a selection from the archive of another run, and has no supernet"
            raise InputError(msg, hint="use the other run; its path is under [reselection]")
        return parse_config(
            cls,
            lambda: {**config["search"], "goal": config["goal"], "preset": config["preset"]},
            source,
            "a search",
        )
