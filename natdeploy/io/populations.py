"""Reads architectures to train from a CSV file with one architecture per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from natdeploy.core.genotype import Population, encode, repair
from natdeploy.core.space import SearchSpace
from natdeploy.documents import parse_whole_number, read_csv_rows
from natdeploy.errors import InputError
from natdeploy.io.measurements import ARCHITECTURE_COLUMNS
from natdeploy.io.subnets import read_architecture

_RUN_COLUMNS = ("genotype", "resolution", "width")


def read_population(path: Path, space: SearchSpace) -> Population:
    """Read architectures of `space` as an `n x L` array of genotypes.

    The file is `archive.csv` or `front.csv` of a run. Or it has a column `encoding` (the NAT authors' string) or
    `architecture` (JSON in any layout that `natdeploy.io.subnets` reads).

    Raises:
        InputError: The file is not such a table, or an architecture is not in the space. The message states file,
            line and reason.
    """
    rows = [_read_genotype(row, place, space) for row, place in read_csv_rows(path, _check_names)]
    if not rows:
        msg = f"{path}: contains no architectures"
        raise InputError(msg)
    return np.stack(rows)


def _check_names(names: Sequence[str], path: Path) -> None:
    if not set(_RUN_COLUMNS) <= set(names) and not set(ARCHITECTURE_COLUMNS) & set(names):
        msg = f"{path}: has neither the columns {', '.join(_RUN_COLUMNS)} nor {' or '.join(ARCHITECTURE_COLUMNS)}"
        raise InputError(msg)


def _read_genotype(row: Mapping[str, str], place: str, space: SearchSpace) -> Population:
    try:
        if set(_RUN_COLUMNS) <= set(row):
            return _read_run_genotype(row, space)
        text = row[next(name for name in ARCHITECTURE_COLUMNS if name in row)]
        return encode(space, read_architecture(text, space).require_member()[1])
    except InputError as error:
        msg = f"{place}: {error.message}"
        raise InputError(msg, hint=error.hint) from error


def _read_run_genotype(row: Mapping[str, str], space: SearchSpace) -> Population:
    """Return the genotype of a run's row. Its first two integers index the lists of that run, so recompute them."""
    resolution, parts = parse_whole_number(row["resolution"]), row["genotype"].split()
    genes = np.array([-1 if (gene := parse_whole_number(part)) is None else gene for part in parts], dtype=np.int64)
    if resolution not in space.resolutions:
        msg = (
            f"resolution {row['resolution']} is not among those trained for ({', '.join(map(str, space.resolutions))})"
        )
        raise InputError(msg)
    if len(genes) == space.genotype_length:
        genes[:2] = space.resolutions.index(resolution), _find_width(row["width"], space)
    if len(genes) != space.genotype_length or (repair(space, genes[None])[0] != genes).any():
        msg = f"{row['genotype']!r} is not a genotype of space {space.name}"
        raise InputError(msg)
    return genes


def _find_width(text: str, space: SearchSpace) -> int:
    try:
        return space.width_index(float(text))
    except InputError:
        raise
    except ValueError as error:
        msg = f"width is {text[:40]!r}, not a number"
        raise InputError(msg) from error
