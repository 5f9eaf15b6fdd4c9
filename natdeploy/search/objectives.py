"""What a search minimizes and what it must keep: the names of objectives, their arrays, and limits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from natdeploy.core.cost import CostArray, madds_array, params_array, peak_memory_array, size_array
from natdeploy.core.genotype import decode
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError, TargetUnreachableError, did_you_mean, require_known
from natdeploy.search.decision import amount

TOP1, TASK, LATENCY = "top1", "top1:", "latency:"
ACCURACY, TRADE_OFF = "accuracy", "trade-off"
_ARRAYS = {"madds": madds_array, "params": params_array, "peak-memory": peak_memory_array}
# Size is limited, and never an objective of its own: it is four bytes a parameter.
_LIMITED_ARRAYS = {**_ARRAYS, "size": size_array}
_OBJECTIVE_OF = {"size": "params"}
# Every search knows these of its architectures, whether it minimizes them or not.
_ALWAYS = ("madds", "params")


def read_objectives(names: Sequence[str], tasks: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the costs among the objectives `names`, each once; `top1` alone where there is no cost among them.

    Top-1 is always an objective, named or not.

    Args:
        names: Names that were given.
        tasks: Tasks whose accuracy is known by their name.

    Raises:
        InputError: A name is unknown.
    """
    known = (TOP1, *_ARRAYS)
    for name in names:
        if name.startswith(TASK):
            _require_task(name.removeprefix(TASK), tasks)
        elif name not in known and not (name.startswith(LATENCY) and name != LATENCY):
            msg = f"unknown objective {name!r} (known: {', '.join(known)}, {TASK}TASK, {LATENCY}DEVICE)"
            raise InputError(msg, hint=did_you_mean(name, known))
    costs = dict.fromkeys(name for name in names if name != TOP1 and not name.startswith(TASK))
    return tuple(costs) or ((TOP1,) if names else ())


def read_tasks(names: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return the tasks among the objectives `names`, each once; all that are known where none is named."""
    named = dict.fromkeys(name.removeprefix(TASK) for name in names if name.startswith(TASK))
    return tuple(named) or tuple(known)


def _require_task(task: str, tasks: Sequence[str]) -> None:
    if task not in tasks:
        msg = f"objective {TASK + task!r}: no --accuracy is given for {task!r}"
        hint = (
            f"name one of {', '.join(tasks)}"
            if tasks
            else f"a supernet is adapted to one data set: search each with its own --data, "
            f"then all of them without training, with --accuracy {task}=RUN/archive.csv and so on"
        )
        raise InputError(msg, hint=hint)


def used_devices(
    devices: Sequence[str], objectives: Sequence[str], targets: Iterable[Mapping[str, float]]
) -> tuple[str, ...]:
    """Return the devices whose latency must be known: those asked for, of objectives and of targets, each once."""
    named = [name.removeprefix(LATENCY) for name in objectives if name.startswith(LATENCY)]
    return tuple(dict.fromkeys([*devices, *named, *(device for target in targets for device in target)]))


def minimized(
    objectives: Sequence[str],
    devices: Sequence[str],
    targets: Iterable[Mapping[str, float]],
    limits: Iterable[str],
) -> tuple[str, ...]:
    """Return the names of the costs that make a front; what a choice is limited in is always among them.

    Args:
        objectives: Costs that were asked for, `top1` for none; multiply-adds, parameters, every latency where empty.
        devices: Devices that were asked for.
        targets: Targets by device, of each choice.
        limits: Names of the costs that every choice is limited in.
    """
    wanted = objectives or (*_ALWAYS, *(LATENCY + device for device in devices))
    sizes = [_OBJECTIVE_OF.get(name, name) for name in limits]
    limited = [LATENCY + device for target in targets for device in target]
    return tuple(dict.fromkeys(name for name in [*wanted, *sizes, *limited] if name != TOP1))


def choice_limits(
    targets: Sequence[Mapping[str, float]], limits: Mapping[str, float], tables: Mapping[str, LatencyTable]
) -> list[dict[str, float]]:
    """Return the largest value of each cost, by its name, for each target.

    A target in milliseconds limits the upper bound; what the prediction may be is so much less.
    """
    return [
        {**limits, **{LATENCY + device: ms / tables[device].upper_ratio for device, ms in target.items()}}
        for target in targets
    ]


def cost_arrays(
    space: SearchSpace, tables: Mapping[str, LatencyTable], classes: int, names: Iterable[str]
) -> dict[str, CostArray]:
    """Return the arrays of multiply-adds, parameters, size, every latency, and the other costs in `names`."""
    sizes = [name for name in _LIMITED_ARRAYS if name in {*_ALWAYS, "size", *names}]
    return {
        **{name: _LIMITED_ARRAYS[name](space, classes) for name in sizes},
        **{LATENCY + device: table.compile(space, classes) for device, table in tables.items()},
    }


def require_small(space: SearchSpace, classes: int, limits: Mapping[str, float]) -> None:
    """Check that the smallest architecture keeps every limit.

    Raises:
        TargetUnreachableError: It does not; the message says how large it is.
    """
    for name, most in limits.items():
        genotype, least = _LIMITED_ARRAYS[name](space, classes).cheapest(space)
        if least > most:
            choice = decode(space, genotype).to_json()
            msg = (
                f"no architecture of {space.name} has at most {amount(name, most)}; the nearest has "
                f"{amount(name, least)}: r {choice['r']}, w {choice['w']:g}, d {choice['d']}"
            )
            raise TargetUnreachableError(msg, hint=f"raise --max-{name}, or search smaller networks with --resolutions")


def read_preference(text: str, costs: Sequence[str]) -> str | dict[str, float]:
    """Return what is preferred of what meets a target: `accuracy`, `trade-off`, or the weight of each objective.

    Args:
        text: One of the two, or weights such as `top1=2,madds=1`.
        costs: Costs that the front is made of.

    Raises:
        InputError: It is none of these; the message says what is wrong.
    """
    if text in (ACCURACY, TRADE_OFF):
        return text
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if name.startswith(TASK):
            msg = f"preference {part.strip()!r}: {TOP1} is weighed, which is the mean over the tasks"
            raise InputError(msg)
        require_known("objective of a preference", name, (TOP1, *costs))
        try:
            weights[name] = float(number)
        except ValueError:
            weights[name] = math.nan
        if not 0 < weights[name] < math.inf:
            msg = f"preference {part.strip()!r}: a weight is a number over 0, such as {name}=2"
            raise InputError(msg)
    return weights
