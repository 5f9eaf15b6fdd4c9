"""What a machine is: its processor, and a number that no other machine has.

The file is sent to devices beside the agent. It needs Python 3.8 or newer and nothing else. Linux names the processor
of a PC or server, but not that of an ARM or RISC-V board. The board's name is in the device tree (Devicetree
Specification 0.4, section 2.3.2). The type of an ARM core is in its identification register (MIDR_EL1 in Arm's
Architecture Reference Manual), whose fields `/proc/cpuinfo` lists.
"""

from __future__ import annotations

import hashlib
import platform
import re
from pathlib import Path
from typing import Iterator

_ROOT = Path("/")
_DEVICE_TREES = ("proc/device-tree", "sys/firmware/devicetree/base")
_DMI = "sys/class/dmi/id"
_SOC_SERIAL = "sys/devices/soc0/serial_number"
_PERMANENT = "0"


def read_chip(root: Path = _ROOT) -> str:
    """Return the processor's name, or else the board's name with the types of its cores.

    Args:
        root: Folder in which `proc` and `sys` are.
    """
    cpuinfo = _read(root / "proc/cpuinfo")
    name = _find_processor_name(cpuinfo)
    if name:
        return name
    board = _read_board(root, cpuinfo) or platform.processor() or platform.machine()
    cores = describe_arm_cores(cpuinfo)
    return f"{board} ({cores})" if cores else board


def read_serial(root: Path = _ROOT) -> str:
    """Return the serial number of the machine, or an empty string if none can be read.

    A board without one is told from others by a hash of the address of its network card, or else of the number that its
    system was given when it was installed.

    Args:
        root: Folder in which `proc`, `sys` and `etc` are.
    """
    cpuinfo = _read(root / "proc/cpuinfo")
    known = [_read(root / tree / "serial-number") for tree in _DEVICE_TREES]
    known += [*_find(cpuinfo, "Serial"), _read(root / _SOC_SERIAL)]
    serial = next(filter(_is_number, known), "")
    if serial or not cpuinfo or _find_processor_name(cpuinfo):
        return serial
    number = next(iter([*_list_network_addresses(root), _read(root / "etc/machine-id")]))
    return hashlib.sha256(f"natdeploy {number}".encode()).hexdigest()[:12] if number else ""


def describe_arm_cores(cpuinfo: str) -> str:
    """Return implementer, part and revision of each type of core; an empty string if the processor is not of ARM.

    The order and the number of the cores do not count, because Linux lists only cores that are switched on.

    Args:
        cpuinfo: Content of `/proc/cpuinfo`.
    """
    found = set()
    for core in re.split(r"\n\s*\n", cpuinfo):
        fields = [next(iter(_find(core, f"CPU {name}")), "") for name in ("implementer", "part", "variant", "revision")]
        implementer, part, variant, revision = fields
        if implementer and part:
            found.add(f"{implementer}/{part} r{int(variant or '0', 16)}p{revision or 0}")
    return ", ".join(sorted(found))


def _find_processor_name(cpuinfo: str) -> str:
    # On ARM, the name is that of the instruction set, such as "ARMv8 Processor rev 0 (v8l)".
    return "" if describe_arm_cores(cpuinfo) else next(iter(_find(cpuinfo, "model name")), "")


def _read_board(root: Path, cpuinfo: str) -> str:
    names = [_read(root / tree / "model") for tree in _DEVICE_TREES]
    names += _find(cpuinfo, "Model|Hardware")
    names.append(" ".join(filter(None, (_read(root / _DMI / name) for name in ("sys_vendor", "product_name")))))
    return next(filter(None, names), "")


def _list_network_addresses(root: Path) -> Iterator[str]:
    """Yield the addresses that network cards were made with; those on USB may be another board's tomorrow."""
    for card in sorted((root / "sys/class/net").glob("*")):
        bus = (card / "device/subsystem").resolve().name
        if bus not in ("subsystem", "usb") and _read(card / "addr_assign_type") == _PERMANENT:
            yield _read(card / "address")


def _find(text: str, key: str) -> list[str]:
    """Return the values of the lines `key: value`; `key` is a regular expression."""
    return re.findall(rf"^(?:{key})[ \t]*:[ \t]*(\S.*?)\s*$", text, re.MULTILINE)


def _is_number(serial: str) -> bool:
    """Return whether a serial number was given: boards without one show zeros."""
    return bool(serial.strip("0 "))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip("\0 \n")
    except (OSError, UnicodeDecodeError):
        return ""
