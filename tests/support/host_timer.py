"""The timer of this machine, with settings of a test's own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from natdeploy.profilers.agent_timer import AgentTimer
from natdeploy.profilers.timing import Timing
from natdeploy.runtimes.connection import Connection, LocalLink

SHORT = Timing(
    warmup_runs=2,
    warmup_s=0.0,
    rounds=6,
    quiet_rounds=4,
    max_rounds=6,
    processes=1,
    settle_s=0.0,
    round_s=0.0,
    min_runs=2,
)


@contextlib.contextmanager
def host_timer(runtime: str = "onnxruntime", *, timing: Timing = SHORT, profile_runs: int = 8) -> Iterator[AgentTimer]:
    """Yield the timer of this machine with one thread."""
    with Connection("host", LocalLink()) as connection:
        yield AgentTimer(
            transport=connection,
            runtime=runtime,
            threads=1,
            python=sys.executable,
            timing=timing,
            profile_runs=profile_runs,
        )
