"""LiteRT's `litert-benchmark`, which comes with `ai-edge-litert` 2: its arguments and the results that it writes."""

from __future__ import annotations

import dataclasses

from natdeploy.errors import InputError
from natdeploy.runtimes.tool_output import RunStats, json_number, load_json


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LitertResult:
    """What one call of litert-benchmark measured.

    Args:
        stats: The runs that count. It rounds to 0.01 ms, which is much of a small network's latency.
        init_ms: Loading and preparing the model.
        threads: Threads.
        accelerators: What it ran on.
        fully_accelerated: Whether all of the model ran there.
    """

    stats: RunStats
    init_ms: float
    threads: int
    accelerators: tuple[str, ...]
    fully_accelerated: bool


def arguments(model: str, *, threads: int, warmup_runs: int, runs: int, result: str) -> list[str]:
    """Return the arguments that time the file `model` on the CPU and write the file `result`.

    Raises:
        InputError: A number is not positive.
    """
    for name, value in (("threads", threads), ("warmup_runs", warmup_runs), ("runs", runs)):
        if value < 1:
            msg = f"{name} is {value}: it must be at least 1"
            raise InputError(msg)
    return [
        f"--model={model}",
        f"--num_threads={threads}",
        f"--warmup_runs={warmup_runs}",
        f"--num_runs={runs}",
        f"--result_json={result}",
    ]


def read_result(text: str, *, source: str = "litert-benchmark") -> LitertResult:
    """Read the file that `--result_json` names.

    Raises:
        InputError: The file is damaged or of an unknown layout, or a time is zero.
    """
    document = load_json(text, source)
    latency = document.get("latency") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(latency, dict):
        msg = f"{source}: it has no object 'latency'"
        raise InputError(msg)
    accelerators = document.get("accelerators")
    fully = document.get("fully_accelerated")
    if not isinstance(accelerators, list) or not isinstance(fully, bool):
        msg = f"{source}: accelerators or fully_accelerated is missing or of another type"
        raise InputError(msg)
    return LitertResult(
        stats=_stats(latency, f"{source}, latency"),
        init_ms=json_number(latency, "init_ms", f"{source}, latency"),
        threads=int(json_number(document, "num_threads", source)),
        accelerators=tuple(str(name) for name in accelerators),
        fully_accelerated=fully,
    )


def _stats(latency: dict[str, object], place: str) -> RunStats:
    names = {"mean_ms": "avg_ms"} | {
        name: name for name in ("std_ms", "min_ms", "max_ms", "p5_ms", "median_ms", "p95_ms")
    }
    figures = {name: json_number(latency, key, place) for name, key in names.items()}
    try:
        return RunStats(runs=int(json_number(latency, "num_runs", place)), **figures)
    except InputError as error:
        msg = f"{place}: {error.message}"
        raise InputError(msg) from error
