"""Genotypes: architectures as canonical integer vectors, one row each.

Source: Lu et al., NAT (TPAMI 2021), section 3.1. A population is an `n x L` array of int64 with
L = 2 + slots (22 for the full spaces): resolution index, width index, then one gene a layer slot.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.architecture import Architecture, check_member, largest, smallest
from natdeploy.core.space import SPACES, SearchSpace
from natdeploy.errors import InputError

Population = NDArray[np.int64]
_ENCODING_LENGTH = 23


def bounds(space: SearchSpace) -> tuple[Population, Population]:
    """Return the lowest and highest value of each gene, two `L`-vectors."""
    forced = [1] * space.depths[0] + [0] * (space.max_depth - space.depths[0])
    lower = np.array([0, 0, *(forced * len(space.stages))], dtype=np.int64)
    upper = np.full(space.genotype_length, space.max_gene, dtype=np.int64)
    upper[0], upper[1] = len(space.resolutions) - 1, len(space.widths) - 1
    return lower, upper


def repair(space: SearchSpace, population: Population) -> Population:
    """Return the canonical form of each row of the `n x L` array `population`.

    Genes are clipped to their bounds. Then the active layers of a stage move to its front, so that no
    skipped slot comes before an active one. A depth between two allowed ones drops to the lower one.
    """
    lower, upper = bounds(space)
    clipped = np.clip(population, lower, upper)
    genes = clipped[:, 2:].reshape(len(clipped), len(space.stages), space.max_depth)
    order = np.argsort(genes == 0, axis=2, kind="stable")
    genes = np.take_along_axis(genes, order, axis=2)
    depth = np.count_nonzero(genes, axis=2)
    allowed = np.array(space.depths)
    kept = allowed[np.searchsorted(allowed, depth, side="right") - 1]
    genes[np.arange(space.max_depth) >= kept[:, :, None]] = 0
    return np.concatenate([clipped[:, :2], genes.reshape(len(clipped), space.slots)], axis=1)


def encode(space: SearchSpace, architecture: Architecture) -> Population:
    """Return the genotype of `architecture`, an `L`-vector.

    Raises:
        InputError: The architecture or its resolution is not one of the space.
    """
    check_member(space, architecture)
    if architecture.resolution not in space.resolutions:
        msg = f"resolution {architecture.resolution} is not in the list of space {space.name}"
        raise InputError(msg)
    genes = [space.resolutions.index(architecture.resolution), space.width_index(architecture.width)]
    for stage in architecture.stages():
        active = [
            1 + space.kernels.index(kernel) + len(space.kernels) * space.expand_ratios.index(expand_ratio)
            for kernel, expand_ratio in stage
        ]
        genes += active + [0] * (space.max_depth - len(active))
    return np.array(genes, dtype=np.int64)


def decode(space: SearchSpace, genotype: Population) -> Architecture:
    """Return the architecture of an `L`-vector, which need not be canonical.

    Raises:
        InputError: The vector has another length.
    """
    if genotype.shape != (space.genotype_length,):
        msg = f"a genotype of space {space.name} has {space.genotype_length} integers, not {genotype.size}"
        raise InputError(msg)
    row = repair(space, genotype[None])[0].tolist()
    depths, kernels, expand_ratios = [], [], []
    for start in range(2, space.genotype_length, space.max_depth):
        active = [gene - 1 for gene in row[start : start + space.max_depth] if gene]
        depths.append(len(active))
        kernels += [space.kernels[gene % len(space.kernels)] for gene in active]
        expand_ratios += [space.expand_ratios[gene // len(space.kernels)] for gene in active]
    return Architecture(
        resolution=space.resolutions[row[0]],
        width=space.widths[row[1]],
        depths=tuple(depths),
        kernels=tuple(kernels),
        expand_ratios=tuple(expand_ratios),
    )


def sample(space: SearchSpace, count: int, rng: np.random.Generator) -> Population:
    """Draw `count` rows: the depth of each stage uniformly, then the choices of each active layer uniformly.

    If every gene were drawn uniformly, 82 % of the stages would have their full depth. Rows may repeat.
    """
    shape = (count, len(space.stages), space.max_depth)
    genes = rng.integers(1, space.max_gene + 1, size=shape)
    depth = rng.choice(np.array(space.depths), size=shape[:2])
    genes[np.arange(space.max_depth) >= depth[:, :, None]] = 0
    resolution = rng.integers(len(space.resolutions), size=(count, 1))
    width = rng.integers(len(space.widths), size=(count, 1))
    return np.concatenate([resolution, width, genes.reshape(count, space.slots)], axis=1)


def sample_initial(space: SearchSpace, count: int, rng: np.random.Generator) -> Population:
    """Draw `count` distinct rows. The first two are the smallest and the largest architecture.

    Raises:
        InputError: The space has fewer architectures than that.
    """
    if not 2 <= count <= space.size:
        msg = f"cannot draw {count} distinct architectures (2 at least) from the {space.size} of space {space.name}"
        raise InputError(msg)
    rows = np.stack([encode(space, smallest(space)), encode(space, largest(space))])
    while len(rows) < count:
        rows = drop_duplicates(np.concatenate([rows, sample(space, count, rng)]))
    return rows[:count]


def drop_duplicates(population: Population) -> Population:
    """Return each distinct row once, in the order of first appearance."""
    _, first = np.unique(population, axis=0, return_index=True)
    rows: Population = population[np.sort(first)]
    return rows


def remove_known(population: Population, known: Population) -> Population:
    """Return the distinct rows of `population` that are not rows of `known`, in order."""
    seen = {row.tobytes() for row in np.ascontiguousarray(known, dtype=np.int64)}
    rows = drop_duplicates(population)
    fresh = [row.tobytes() not in seen for row in np.ascontiguousarray(rows, dtype=np.int64)]
    kept: Population = rows[np.array(fresh, dtype=bool)]
    return kept


def to_encoding(architecture: Architecture) -> str | None:
    """Return the NAT authors' 23-character string, or None if the architecture is not in the `nat` space."""
    try:
        row = encode(SPACES["nat"], architecture)
    except InputError:
        return None
    return f"{row[0]:02d}" + "".join(str(gene) for gene in row[1:])


def from_encoding(text: str) -> Architecture:
    """Return the architecture of the NAT authors' 23-character string.

    Raises:
        InputError: The string is not such an encoding, or not canonical. The message names the place.
    """
    if len(text) != _ENCODING_LENGTH or not text.isascii() or not text.isdigit():
        msg = f"an encoding has {_ENCODING_LENGTH} digits, not {text!r}"
        raise InputError(msg)
    space = SPACES["nat"]
    row = np.array([int(text[:2]), *map(int, text[2:])], dtype=np.int64)
    wrong = np.flatnonzero(repair(space, row[None])[0] != row)
    if len(wrong):
        msg = f"encoding {text!r}: integer {wrong[0]} ({row[wrong[0]]}) is out of range, or follows a skipped layer"
        raise InputError(msg)
    return decode(space, row)


def sample_marginals(space: SearchSpace, population: Population, count: int, rng: np.random.Generator) -> Population:
    """Draw `count` canonical rows, each gene independently from its values in `population`.

    The rows follow the product of the per-gene categorical marginals.
    Source: Lu et al., NAT (TPAMI 2021), section 3.3.
    """
    rows = rng.integers(len(population), size=(count, space.genotype_length))
    return repair(space, np.take_along_axis(population, rows, axis=0))
