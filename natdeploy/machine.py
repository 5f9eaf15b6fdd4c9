"""Resources of this machine: cores and memory."""

from __future__ import annotations

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Return the memory that can be allocated without swapping. The limit of a container counts.

    Args:
        meminfo: Linux's memory report. If it is missing, half of the machine's memory is assumed.
        cgroup: Folder of the control group, version 2.
    """
    system = _read_entries(meminfo)
    if "MemAvailable:" in system:
        available = system["MemAvailable:"] * 1024
    else:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    limit = _read_text(cgroup / "memory.max")
    if limit.isdigit():
        # Cached files count as used, but the kernel frees them when memory is needed.
        inactive = _read_entries(cgroup / "memory.stat").get("inactive_file", 0)
        used = int(_read_text(cgroup / "memory.current")) - inactive
        available = min(available, int(limit) - used)
    return max(0, available)


def _read_entries(path: Path) -> dict[str, int]:
    rows = (line.split() for line in _read_text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}


def _read_text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
