"""The NAT authors' encoding: a string of 23 digits, which exists for the architectures of the `nat` space only.

Source: Lu et al., NAT (TPAMI 2021), section 3.1.
"""

from __future__ import annotations

import numpy as np

from natdeploy.core.architecture import Architecture
from natdeploy.core.genotype import decode, encode, repair
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space

_SPACE = "nat"
_LENGTH = 23


def to_encoding(architecture: Architecture) -> str | None:
    """Return the NAT authors' 23-character string, or None if the architecture is not in the `nat` space."""
    try:
        row = encode(find_space(_SPACE), architecture)
    except InputError:
        return None
    return f"{row[0]:02d}" + "".join(str(gene) for gene in row[1:])


def from_encoding(text: str) -> Architecture:
    """Return the architecture of the NAT authors' 23-character string.

    Raises:
        InputError: The string is not such an encoding, or not canonical. The message names the place.
    """
    if len(text) != _LENGTH or not text.isascii() or not text.isdigit():
        msg = f"an encoding has {_LENGTH} digits, not {text!r}"
        raise InputError(msg)
    space = find_space(_SPACE)
    row = np.array([int(text[:2]), *map(int, text[2:])], dtype=np.int64)
    wrong = np.flatnonzero(repair(space, row[None])[0] != row)
    if len(wrong):
        msg = f"encoding {text!r}: integer {wrong[0]} ({row[wrong[0]]}) is out of range, or follows a skipped layer"
        raise InputError(msg)
    return decode(space, row)
