"""Settings of a search: what run.toml holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from natdeploy.api.searching.presets import Preset
from natdeploy.core.space import SearchSpace, find_space
from natdeploy.errors import InputError
from natdeploy.io.run_settings import validated
from natdeploy.search.objectives import ACCURACY, minimized


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchPlan:
    """Everything that decides what a search does; what `run.toml` holds.

    Args:
        supernet: Name of the search space.
        resolutions: Input sizes that are searched.
        widths: Widths that are searched.
        data: Name or folder of the data set.
        devices: Devices whose latency is an objective.
        targets: One mapping of devices to milliseconds for each choice that is wanted.
        weights: What the supernet begins with: `packaged`, `released` or an absolute path; empty for random weights.
        preset: Name of the preset.
        effort: Its values.
        seed: Seed.
        threads: Threads to train with.
        alias: A further file to write the first choice to, absolute; empty for none.
        prefer: What is chosen of what meets a target.
        objectives: Costs that are minimized beside the top-1 error; where empty, multiply-adds, parameters, latencies.
        limits: Largest value of a cost, by its name, that every choice must keep.
        weights_sha256: Hashes of the files that the supernet begins with.
    """

    supernet: str
    resolutions: tuple[int, ...]
    widths: tuple[float, ...]
    data: str
    devices: tuple[str, ...]
    targets: tuple[Mapping[str, float], ...]
    weights: str
    preset: str
    effort: Preset
    seed: int
    threads: int
    alias: str = ""
    prefer: str = ACCURACY
    objectives: tuple[str, ...] = ()
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
    weights_sha256: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.threads < 1 or self.seed < 0:
            msg = f"threads is {self.threads} and seed {self.seed}: they must be 1 and 0 at least"
            raise InputError(msg)

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return dataclasses.replace(find_space(self.supernet), resolutions=self.resolutions, widths=self.widths)

    @property
    def first_epochs(self) -> int:
        """Epochs before the first archive."""
        return self.effort.warmup_epochs if self.weights else self.effort.scratch_epochs

    @property
    def largest_only_epochs(self) -> int:
        """How many of these train the largest network alone: pretrained weights have that behind them."""
        return 0 if self.weights else min(self.effort.largest_only_epochs, self.first_epochs)

    @property
    def minimized(self) -> tuple[str, ...]:
        """Names of the costs that make the front."""
        return minimized(self.objectives, self.devices, self.targets, self.limits)

    def to_settings(self) -> dict[str, Any]:
        """Return what `run.toml` holds."""
        return {
            "search": {
                "supernet": self.supernet,
                "resolutions": list(self.resolutions),
                "widths": list(self.widths),
                "data": self.data,
                "devices": list(self.devices),
                "weights": self.weights,
                "weights_sha256": list(self.weights_sha256),
                "preset": self.preset,
                "seed": self.seed,
                "threads": self.threads,
                "alias": self.alias,
                "prefer": self.prefer,
                "objectives": list(self.objectives),
                "limits": dict(self.limits),
                "targets": [dict(target) for target in self.targets],
            },
            "effort": dataclasses.asdict(self.effort),
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], source: str) -> SearchPlan:
        """Read what `to_settings` returned.

        Raises:
            InputError: A key is missing, unknown or of the wrong type; the message names it.
        """
        if "training_free" in settings:
            msg = f"{source}: was searched without training: there is no supernet in it, and it is whole as it is"
            hint = (
                "an architecture of its front gets weights by natdeploy extract SUBNET --supernet NAME --weights FILE; "
                "for other targets search anew with --accuracy"
            )
            raise InputError(msg, hint=hint)
        if "decided" in settings:
            msg = f"{source}: was decided from the archive of another run: there is no supernet in it"
            raise InputError(msg, hint="go back to that run: its path is there, under [decided]")
        return validated(cls, lambda: {**settings["search"], "effort": settings["effort"]}, source, "a search")
