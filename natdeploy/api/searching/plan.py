"""Settings of a search: what run.toml holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from natdeploy.api.searching.presets import Preset
from natdeploy.core.ranges import NonNegative, Positive, check_ranges
from natdeploy.core.space import SearchSpace, find_space
from natdeploy.errors import InputError
from natdeploy.io.run_config import parse_config
from natdeploy.search.problem import SearchGoal


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchPlan:
    """Everything that decides what a search does; what `run.toml` holds.

    Args:
        supernet: Name of the search space.
        resolutions: Input sizes that are searched.
        widths: Widths that are searched.
        data: Name or folder of the data set.
        goal: What the front is made of, and what every selected architecture must keep.
        weights: What the supernet begins with: `packaged`, `released` or an absolute path; empty for random weights.
        preset: Name of the preset.
        effort: Its values.
        seed: Seed.
        threads: Threads to train with.
        alias: A further file to write the first choice to, absolute; empty for none.
        weights_sha256: Hashes of the files that the supernet begins with.
    """

    supernet: str
    resolutions: tuple[int, ...]
    widths: tuple[float, ...]
    data: str
    goal: SearchGoal
    weights: str
    preset: str
    effort: Preset
    seed: NonNegative
    threads: Positive
    alias: str = ""
    weights_sha256: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return dataclasses.replace(find_space(self.supernet), resolutions=self.resolutions, widths=self.widths)

    @property
    def first_epochs(self) -> int:
        """Epochs before the first archive."""
        return self.effort.warmup_epochs if self.weights else self.effort.scratch_epochs

    @property
    def total_epochs(self) -> int:
        """Epochs of the whole search."""
        return self.first_epochs + self.effort.search.iterations * self.effort.adapt_epochs

    @property
    def largest_only_epochs(self) -> int:
        """How many of these train the largest network alone: pretrained weights have that behind them."""
        return 0 if self.weights else min(self.effort.largest_only_epochs, self.first_epochs)

    def to_config(self) -> dict[str, Any]:
        """Return what `run.toml` holds."""
        config = dataclasses.asdict(self)
        goal, effort = config.pop("goal"), config.pop("effort")
        return {"search": config, "goal": goal, "effort": effort}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], source: str) -> SearchPlan:
        """Read what `to_config` returned.

        Raises:
            InputError: A key is missing, unknown or of the wrong type; the message names it.
        """
        if "surrogate_search" in config:
            msg = f"{source}: is a search without training; it is complete, and holds no supernet"
            hint = (
                "an architecture of its front gets weights by natdeploy extract SUBNET --supernet NAME --weights FILE; "
                "for other targets search anew with --accuracy"
            )
            raise InputError(msg, hint=hint)
        if "reselection" in config:
            msg = f"{source}: was selected from the archive of another run, and holds no supernet"
            raise InputError(msg, hint="name the run that it was selected from: its path is under [reselection]")
        return parse_config(
            cls,
            lambda: {**config["search"], "goal": config["goal"], "effort": config["effort"]},
            source,
            "a search",
        )
