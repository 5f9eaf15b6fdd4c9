"""Whether a machine is the device that a description or a latency table is of, told from its fingerprint.

A fingerprint begins with the chip or model of the machine, has `serial` and a number if the machine has one, and ends
with the runtime and the way of timing, which `natdeploy.runtimes` and `natdeploy.profilers.board_facts` write.
"""

from __future__ import annotations

import re

from natdeploy.core.device import Device

_RUNTIME = "; runtime "
_SERIAL = re.compile(r"; serial ([^;]+)")
_X86 = re.compile(r"\b(?:x86_64|i[3-6]86|amd64)\b", re.IGNORECASE)
_ARM_KINDS = ("mobile-cpu", "jetson-gpu")


def describe_machine(fingerprint: str) -> str:
    """Return the part of a fingerprint that is about the machine, without its runtime."""
    return fingerprint.partition(_RUNTIME)[0]


def are_same_machine(first: str, second: str) -> bool:
    """Tell whether two fingerprints are of one machine: by their serial numbers, or by their chips without these.

    A board may switch cores off, and a runtime may be updated: it stays the same machine.
    """
    serials = [_SERIAL.search(fingerprint) for fingerprint in (first, second)]
    if serials[0] is not None and serials[1] is not None:
        return serials[0][1] == serials[1][1]
    return get_chip(first) == get_chip(second)


def get_chip(fingerprint: str) -> str:
    """Return the chip or model that a fingerprint begins with."""
    return fingerprint.partition(";")[0]


def find_mismatch(device: Device, fingerprint: str) -> str | None:
    """Return in what a machine differs from the description of the device that it should be, or None.

    Args:
        device: The description.
        fingerprint: Fingerprint of the machine that answers.
    """
    chip = get_chip(fingerprint)
    if device.models and not any(_names(model, chip) for model in device.models):
        return f"it is {chip!r}, and {device.name} is {' or '.join(device.models)}"
    if device.kind in _ARM_KINDS and _X86.search(describe_machine(fingerprint)):
        return f"it has an x86 processor ({chip}), and the kind of {device.name} is {device.kind}"
    return None


def _names(model: str, chip: str) -> bool:
    """Tell whether a machine names itself so: whole words, and `*` stands for the rest of a word."""
    words = r"\s+".join(re.escape(word).replace(r"\*", r"[\w-]*") for word in model.split())
    return re.search(rf"(?<![\w-]){words}(?![\w-])", chip, re.IGNORECASE) is not None
