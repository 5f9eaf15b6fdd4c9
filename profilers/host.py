"""What there is to know of the machine that natdeploy runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from natdeploy.runtimes import agent

_BUSY_SHARE = 0.25


def host_fingerprint(runtime_version: str) -> str:
    """Return what tells this machine from others as far as latency goes: processor, cores, system and runtime."""
    return agent.fingerprint(runtime_version)


def conditions() -> dict[str, Any]:
    """Return what may change from one measurement to the next, as far as it can be read here."""
    return agent.conditions()


def load_warning(conditions: Mapping[str, Any]) -> str | None:
    """Return a warning where other work runs on the device, None where it is quiet or does not tell.

    Args:
        conditions: Of the device, as a `natdeploy.ports.ModelTimer` gives them.
    """
    load, cores = conditions.get("load_average"), conditions.get("cores") or 1
    if load is None or load <= _BUSY_SHARE * cores:
        return None
    return f"other work runs on the device (load average {load:g}): latencies come out noisy and too high"
