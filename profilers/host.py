"""What there is to know of the machine that natdeploy runs on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CPU = Path("/sys/devices/system/cpu/cpu0/cpufreq")
_THERMAL = Path("/sys/class/thermal")
_BUSY_SHARE = 0.25


def chip() -> str:
    """Return the processor's name."""
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.processor() or platform.machine()


def host_fingerprint(runtime_version: str) -> str:
    """Return what tells this machine from others as far as latency goes: processor, cores, system and runtime."""
    return f"{chip()}; {os.cpu_count()} cores; {platform.system()} {platform.machine()}; runtime {runtime_version}"


def conditions() -> dict[str, Any]:
    """Return what may change from one measurement to the next, as far as it can be read here.

    Load average, governor and clock of the first core, and the temperature of the hottest zone.
    """
    found: dict[str, Any] = {"chip": chip(), "system": platform.platform(), "cores": os.cpu_count()}
    load = load_average()
    if load is not None:
        found["load_average"] = load
    governor = _read(_CPU / "scaling_governor").strip()
    clock_khz = _read(_CPU / "scaling_cur_freq").strip()
    if governor:
        found["governor"] = governor
    if clock_khz.isdigit():
        found["clock_mhz"] = int(clock_khz) // 1000
    zones = [_read(zone).strip() for zone in _THERMAL.glob("thermal_zone*/temp")]
    temperatures = [int(zone) / 1000 for zone in zones if zone.isdigit()]
    if temperatures:
        found["temperature_c"] = max(temperatures)
    return found


def load_average() -> float | None:
    """Return the mean number of busy threads over the last minute, None where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def load_warning(conditions: Mapping[str, Any]) -> str | None:
    """Return a warning where other work runs on the device, None where it is quiet or does not tell.

    Args:
        conditions: Of the device, as a `natdeploy.ports.ModelTimer` gives them.
    """
    load, cores = conditions.get("load_average"), conditions.get("cores") or 1
    if load is None or load <= _BUSY_SHARE * cores:
        return None
    return f"other work runs on the device (load average {load:g}): latencies come out noisy and too high"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
