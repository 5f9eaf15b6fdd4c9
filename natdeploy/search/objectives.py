"""The names of objectives, costs and preferences, and how they are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from natdeploy.core.cost import CostArray, madds_array, params_array, peak_memory_array, size_array
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError, did_you_mean, require_known

TOP1, TASK, LATENCY = "top1", "top1:", "latency:"
ACCURACY, TRADE_OFF = "accuracy", "trade-off"
_MINIMIZED = ("madds", "params", "peak-memory")
COST_ARRAYS: Mapping[str, Callable[[SearchSpace, int], CostArray]] = MappingProxyType(
    {"madds": madds_array, "params": params_array, "peak-memory": peak_memory_array, "size": size_array}
)
# Every search knows these costs of its architectures, whether it minimizes them or not.
ALWAYS_KNOWN = ("madds", "params", "size")
# Size is limited, but is never an objective of its own: it is four bytes a parameter.
OBJECTIVE_OF_LIMIT: Mapping[str, str] = MappingProxyType({"size": "params"})


def read_objectives(names: Sequence[str], tasks: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the costs among the objectives `names`, each once; only `top1` if no cost is among them.

    Top-1 is always an objective, whether it is named or not.

    Args:
        names: Names of objectives.
        tasks: Tasks whose accuracy can be an objective of its own.

    Raises:
        InputError: A name is unknown.
    """
    known = (TOP1, *_MINIMIZED)
    for name in names:
        if name.startswith(TASK):
            _require_task(name.removeprefix(TASK), tasks)
        elif name not in known and not (name.startswith(LATENCY) and name != LATENCY):
            msg = f"unknown objective {name!r} (known: {', '.join(known)}, {TASK}TASK, {LATENCY}DEVICE)"
            raise InputError(msg, hint=did_you_mean(name, known))
    costs = dict.fromkeys(name for name in names if name != TOP1 and not name.startswith(TASK))
    return tuple(costs) or ((TOP1,) if names else ())


def read_tasks(names: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return the tasks among the objectives `names`, each once; all known tasks if none is named."""
    named = dict.fromkeys(name.removeprefix(TASK) for name in names if name.startswith(TASK))
    return tuple(named) or tuple(known)


def _require_task(task: str, tasks: Sequence[str]) -> None:
    if task not in tasks:
        msg = f"objective {TASK + task!r}: no --accuracy is given for {task!r}"
        hint = (
            f"name one of {', '.join(tasks)}"
            if tasks
            else f"a supernet is adapted to one data set: search each data set with its own --data, "
            f"then all of them together without training: --accuracy {task}=RUN/archive.csv and so on"
        )
        raise InputError(msg, hint=hint)


def read_preference(text: str, costs: Sequence[str]) -> str | dict[str, float]:
    """Read a preference: `accuracy`, `trade-off`, or the weights of objectives.

    Args:
        text: The preference; weights are written as `top1=2,madds=1`.
        costs: Costs that are objectives.

    Raises:
        InputError: The preference is not valid. The message says why.
    """
    if text in (ACCURACY, TRADE_OFF):
        return text
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if name.startswith(TASK):
            msg = f"preference {part.strip()!r}: only {TOP1} can have a weight, which is the mean over the tasks"
            raise InputError(msg)
        require_known("objective of a preference", name, (TOP1, *costs))
        try:
            weights[name] = float(number)
        except ValueError:
            weights[name] = math.nan
        if not 0 < weights[name] < math.inf:
            msg = f"preference {part.strip()!r}: a weight must be a number above 0, such as {name}=2"
            raise InputError(msg)
    return weights
