"""Resources of this machine: cores, memory and GPUs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_NVIDIA = Path("/proc/driver/nvidia/gpus")
_NVIDIA_SMI_S = 10.0


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


def list_gpus(driver: Path = _NVIDIA) -> list[str]:
    """Return the names of the NVIDIA GPUs that the driver knows; nothing is imported or started on them.

    Args:
        driver: Folder in which Linux's driver describes each GPU. If it is missing, `nvidia-smi` is asked.
    """
    texts = [_read_text(path) for path in sorted(driver.glob("*/information"))]
    models = [
        line.partition(":")[2].strip() for text in texts for line in text.splitlines() if line.startswith("Model:")
    ]
    return models or _ask_nvidia_smi()


def _ask_nvidia_smi() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_NVIDIA_SMI_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def _read_entries(path: Path) -> dict[str, int]:
    rows = (line.split() for line in _read_text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}


def _read_text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
