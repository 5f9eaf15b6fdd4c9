"""What this machine has to give: cores and memory."""

from __future__ import annotations

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Return the memory that can be taken without swapping; a container's limit counts.

    Args:
        meminfo: Linux's account of the memory; half of the machine's memory is assumed where there is none.
        cgroup: Folder of the control group, version 2.
    """
    system = _entries(meminfo)
    if "MemAvailable:" in system:
        available = system["MemAvailable:"] * 1024
    else:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    limit = _text(cgroup / "memory.max")
    if limit.isdigit():
        # Files that were read are counted as used, but make room where it is needed.
        used = int(_text(cgroup / "memory.current")) - _entries(cgroup / "memory.stat").get("inactive_file", 0)
        available = min(available, int(limit) - used)
    return max(0, available)


def _entries(path: Path) -> dict[str, int]:
    rows = (line.split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
