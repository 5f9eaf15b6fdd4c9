"""Facts about a device that is known to have a POSIX shell and nothing else."""

from __future__ import annotations

import re
from typing import Any

from natdeploy.ports import Transport

_LIMIT_S = 60.0
# Each fact is a line "key value"; facts that a device does not have are left out.
_SCRIPT = r"""
say() { [ -n "$2" ] && echo "$1 $2"; }
first() { [ -r "$1" ] && tr -d '\000' <"$1" | head -n 1; }
say system "$(uname -sr)"
say machine "$(uname -sm)"
say cores "$(grep -c ^processor /proc/cpuinfo)"
say chip "$(first /proc/device-tree/model)"
say chip "$(getprop ro.product.model 2>/dev/null) $(getprop ro.soc.model 2>/dev/null)"
say chip "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)"
say chip "$(sed -n 's/^Hardware[^:]*: *//p' /proc/cpuinfo | head -n 1)"
say parts "$(sed -n 's/^CPU part[^:]*: *//p' /proc/cpuinfo | sort -u | tr '\n' ' ')"
number() { say serial "$(echo "$1" | grep '[^0 ]')"; }
number "$(first /proc/device-tree/serial-number)"
number "$(getprop ro.serialno 2>/dev/null)"
number "$(sed -n 's/^Serial[^:]*: *//p' /proc/cpuinfo)"
number "$(first /sys/devices/soc0/serial_number)"
say governor "$(first /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)"
say clock_khz "$(first /sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq)"
say power_mode "$(nvpmodel -q 2>/dev/null | sed -n 's/^NV Power Mode: *//p')"
for zone in /sys/class/thermal/thermal_zone*/temp; do say temperature "$(cat "$zone" 2>/dev/null)"; done
for core in /sys/devices/system/cpu/cpu[0-9]*; do
  number=${core##*cpu}
  [ -r "$core/cpufreq/cpuinfo_max_freq" ] && say "core$number" "$(cat "$core/cpufreq/cpuinfo_max_freq" 2>/dev/null)"
done
exit 0
"""


def read_conditions(transport: Transport) -> dict[str, Any]:
    """Return the conditions that may change between measurements, as `agent.read_conditions` does."""
    return parse_conditions(_facts(transport))


def read_fingerprint(transport: Transport, runtime_version: str) -> str:
    """Return what identifies the device and its runtime: everything that latencies depend on."""
    facts = dict(reversed(_facts(transport)))
    parts = [facts.get("chip", "unknown chip"), f"{facts.get('cores', '?')} cores", facts.get("machine", "")]
    if "parts" in facts:
        parts.append(f"cores of type {facts['parts']}")
    if "serial" in facts:
        parts.append(f"serial {facts['serial']}")
    return "; ".join([*parts, f"runtime {runtime_version}"])


def find_big_core_mask(transport: Transport, threads: int) -> str | None:
    """Return the mask of the fastest cores for `taskset`; None if the device does not name the clocks of its cores.

    If there are fewer fast cores than threads, the mask has those of the next class too.
    """
    found = {int(key[4:]): int(value) for key, value in _facts(transport) if re.fullmatch(r"core\d+", key)}
    return make_core_mask(found, threads)


def parse_conditions(facts: list[tuple[str, str]]) -> dict[str, Any]:
    """Return the conditions among the facts of a device."""
    known = dict(reversed(facts))
    found: dict[str, Any] = {key: known[key] for key in ("chip", "system", "governor", "power_mode") if key in known}
    if known.get("cores", "").isdigit():
        found["cores"] = int(known["cores"])
    if known.get("clock_khz", "").isdigit():
        found["clock_mhz"] = int(known["clock_khz"]) // 1000
    temperatures = [int(value) / 1000 for key, value in facts if key == "temperature" and value.isdigit()]
    if temperatures:
        found["temperature_c"] = max(temperatures)
    return found


def make_core_mask(core_khz: dict[int, int], threads: int) -> str | None:
    """Return the mask of the fastest cores for `taskset`.

    Args:
        core_khz: Highest clock of each core, by its number.
        threads: Number of cores that are needed.
    """
    if not core_khz:
        return None
    chosen: set[int] = set()
    for clock in sorted(set(core_khz.values()), reverse=True):
        chosen |= {core for core, khz in core_khz.items() if khz == clock}
        if len(chosen) >= threads:
            break
    return f"{sum(1 << core for core in chosen):x}"


def _facts(transport: Transport) -> list[tuple[str, str]]:
    done = transport.run(["sh", "-c", _SCRIPT], timeout_s=_LIMIT_S)
    lines = [line.strip().partition(" ") for line in done.stdout.splitlines()]
    return [(key, value.strip()) for key, _, value in lines if value.strip()]
