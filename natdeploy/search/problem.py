"""What a search is asked for, and the problem that it solves: space, costs, objectives and constraints."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.checked import check_fields
from natdeploy.core.cost import CostArray
from natdeploy.core.genotype import Population, decode
from natdeploy.core.latency import ESTIMATED, LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError, TargetUnreachableError, require_known
from natdeploy.search.objectives import (
    ACCURACY,
    ALWAYS_KNOWN,
    COST_ARRAYS,
    LATENCY,
    OBJECTIVE_OF_LIMIT,
    TOP1,
    read_objectives,
    read_preference,
)
from natdeploy.search.ranking import format_size

Values = NDArray[np.float64]
LIMITS = ("madds", "params", "size")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchGoal:
    """What a search is asked for.

    Args:
        devices: Devices whose latency counts, besides those that objectives and latency limits name.
        objectives: What the front is made of: `top1`, `top1:TASK`, `madds`, `params`, `peak-memory`,
            `latency:DEVICE`. Top-1 is always an objective. Where empty, multiply-adds, parameters and every latency.
        limits: Largest `madds`, `params` or `size` (bytes of fp32 weights) of every selected architecture.
        latency_limits_ms: One mapping of devices to milliseconds for each architecture to select. Where empty, one
            architecture is selected, whatever its latency.
        prefer: What is selected from the rows of the front that keep the limits: `accuracy`, `trade-off` (the row from
            which any step along the front loses most per unit of gain), or weights of objectives such as
            `top1=2,madds=1`.
        tasks: Tasks whose accuracy can be an objective of its own.

    Raises:
        InputError: A name is unknown, a limit is not a positive number, or the preference is not valid.
    """

    devices: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ()
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
    latency_limits_ms: tuple[Mapping[str, float], ...] = ()
    prefer: str = ACCURACY
    tasks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        for name in self.limits:
            require_known("limit", name, LIMITS)
        if {} in self.latency_limits_ms:
            msg = "latency-limits-ms has an empty limit: name its devices, or leave it out"
            raise InputError(msg)
        milliseconds = [
            (f"latency on {device}", ms) for limit in self.latency_limits_ms for device, ms in limit.items()
        ]
        for what, most in [*self.limits.items(), *milliseconds]:
            if not 0 < most < math.inf:
                msg = f"the limit on {what} is {most}: it must be a positive number"
                raise InputError(msg)
        read_preference(self.prefer, self.minimized)

    @property
    def all_devices(self) -> tuple[str, ...]:
        """Every device whose latency must be known, each once."""
        named = [name.removeprefix(LATENCY) for name in self._costs if name.startswith(LATENCY)]
        limited = [device for limit in self.latency_limits_ms for device in limit]
        return tuple(dict.fromkeys([*self.devices, *named, *limited]))

    @property
    def minimized(self) -> tuple[str, ...]:
        """Names of the costs that are minimized beside the top-1 error; every limited cost is one of them."""
        wanted = self._costs or ("madds", "params", *(LATENCY + device for device in self.all_devices))
        sizes = [OBJECTIVE_OF_LIMIT.get(name, name) for name in self.limits]
        limited = [LATENCY + device for limit in self.latency_limits_ms for device in limit]
        return tuple(dict.fromkeys(name for name in [*wanted, *sizes, *limited] if name != TOP1))

    @property
    def selections(self) -> tuple[Mapping[str, float], ...]:
        """The latency limits of each architecture to select; one empty mapping where there are none."""
        return self.latency_limits_ms or ({},)

    @property
    def _costs(self) -> tuple[str, ...]:
        return read_objectives(self.objectives, self.tasks)


LATENCY_HERE = SearchGoal(devices=("host",))
"""The latency of this machine is an objective, and nothing is limited."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchProblem:
    """A multi-objective problem over a search space: top-1 is maximized, costs are minimized, limits hold.

    Args:
        space: Search space; the tables cover all of its resolutions.
        classes: Outputs of the classifier.
        goal: What is minimized, and what every selected architecture must keep.
        tables: Latency tables, by device.
    """

    space: SearchSpace
    classes: int
    goal: SearchGoal
    tables: Mapping[str, LatencyTable] = dataclasses.field(default_factory=dict)

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the costs that are minimized."""
        return self.goal.minimized

    @functools.cached_property
    def costs(self) -> Mapping[str, CostArray]:
        """Multiply-adds, parameters, size, the latency on every device, and the other costs that are minimized."""
        wanted = {*ALWAYS_KNOWN, *self.objectives}
        return {
            **{name: compiled(self.space, self.classes) for name, compiled in COST_ARRAYS.items() if name in wanted},
            **{LATENCY + device: table.compile(self.space, self.classes) for device, table in self.tables.items()},
        }

    @functools.cached_property
    def constraints(self) -> tuple[Mapping[str, float], ...]:
        """Largest value of each limited cost, by its name, for each architecture to select.

        A latency limit holds for the upper bound of the prediction. The prediction itself must be that much lower.
        """
        return tuple(
            {
                **self.goal.limits,
                **{LATENCY + device: ms / self.tables[device].upper_ratio for device, ms in limits_ms.items()},
            }
            for limits_ms in self.goal.selections
        )

    def cost_values(self, population: Population) -> Values:
        """Return the minimized costs of the `n x L` array `population`, an `n x m` array."""
        values = [self.costs[name](population) for name in self.objectives]
        return np.array(values, dtype=float).reshape(len(values), len(population)).T

    def require_feasible(self) -> None:
        """Check that the cheapest architecture keeps each limit.

        Raises:
            TargetUnreachableError: It does not. The message says what it costs.
        """
        for limits_ms in self.goal.selections:
            for device, limit_ms in limits_ms.items():
                self._require_quick(device, limit_ms)
        for name, most in self.goal.limits.items():
            genotype, least = self.costs[name].cheapest(self.space)
            if least > most:
                msg = (
                    f"no architecture of {self.space.name} has at most {format_size(name, most)}; the nearest has "
                    f"{format_size(name, least)}: {self._describe(genotype)}"
                )
                hint = f"raise --max-{name}, or search smaller networks with --resolutions"
                raise TargetUnreachableError(msg, hint=hint)

    def _require_quick(self, device: str, limit_ms: float) -> None:
        table = self.tables[device]
        genotype, latency_ms = self.costs[LATENCY + device].cheapest(self.space)
        upper_ms = latency_ms * table.upper_ratio
        if upper_ms > limit_ms:
            marked = f" ({ESTIMATED})" if table.provenance == ESTIMATED else ""
            msg = (
                f"no architecture of {self.space.name} meets {limit_ms:g} ms on {device}; "
                f"the nearest takes {upper_ms:.3g} ms{marked}: {self._describe(genotype)}"
            )
            hint = "raise --target-latency, or search smaller networks with --resolutions"
            raise TargetUnreachableError(msg, hint=hint)

    def _describe(self, genotype: Population) -> str:
        choice = decode(self.space, genotype).to_json()
        return f"r {choice['r']}, w {choice['w']:g}, d {choice['d']}"
