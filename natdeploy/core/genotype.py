"""Genotypes: architectures as canonical integer vectors, one row each.

Source: Lu et al., NAT (TPAMI 2021), section 3.1. A population is an `n x L` array of int64 with
L = 2 + slots (22 for the OFA spaces): resolution index, width index, then one gene a layer slot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.architecture import Architecture, check_member, largest, smallest
from natdeploy.core.space import SearchSpace, Stage
from natdeploy.errors import InputError

Population = NDArray[np.int64]


def bounds(space: SearchSpace) -> tuple[Population, Population]:
    """Return the lowest and highest value of each gene, two `L`-vectors."""
    forced = [int(position < space.stages[index].depths[0]) for index, position in space.slot_places]
    highest = [len(choices) for choices in space.choices]
    lower = np.array([0, 0, *forced], dtype=np.int64)
    upper = np.array([len(space.resolutions) - 1, len(space.widths) - 1, *highest], dtype=np.int64)
    return lower, upper


def repair(space: SearchSpace, population: Population) -> Population:
    """Return the canonical form of each row of the `n x L` array `population`.

    Genes are clipped to their bounds. Then the active layers of a stage move to its front, so that no
    skipped slot comes before an active one. A depth between two allowed ones drops to the lower one.
    """
    lower, upper = bounds(space)
    rows = np.clip(population, lower, upper)
    for stage, slots in zip(space.stages, space.stage_slots, strict=True):
        genes = rows[:, 2:][:, slots]
        order = np.argsort(genes == 0, axis=1, kind="stable")
        genes = _fit_slots(stage, np.take_along_axis(genes, order, axis=1))
        depth = np.count_nonzero(genes, axis=1)
        allowed = np.array(stage.depths)
        kept = allowed[np.searchsorted(allowed, depth, side="right") - 1]
        genes[np.arange(stage.slots) >= kept[:, None]] = 0
        rows[:, 2:][:, slots] = genes
    return rows


def _fit_slots(stage: Stage, genes: Population) -> Population:
    """Lower the expand ratio of genes that have moved to a slot with fewer ratios. Kernels are the same in all."""
    kernels, ratios = len(stage.kernels), np.array([len(values) for values in stage.expand_ratios])
    ratio, kernel = np.divmod(genes - 1, kernels)
    return np.where(genes > 0, 1 + kernel + kernels * np.minimum(ratio, ratios - 1), 0)


def explain_unfit_genotype(space: SearchSpace, genes: Sequence[int]) -> str | None:
    """Return why integers are not a canonical genotype of the space; None if they are one."""
    if len(genes) != space.genotype_length:
        return f"it has {len(genes)} integers, not {space.genotype_length}"
    for place, (gene, low, high) in enumerate(zip(genes, *(bound.tolist() for bound in bounds(space)), strict=True)):
        if not low <= gene <= high:
            return f"integer {place} of the genotype is {gene}, outside {low} to {high}"
    row = np.array([genes], dtype=np.int64)
    return None if np.array_equal(repair(space, row), row) else "its genotype is not canonical"


def encode(space: SearchSpace, architecture: Architecture) -> Population:
    """Return the genotype of `architecture`, an `L`-vector.

    Raises:
        InputError: The architecture or its resolution is not one of the space.
    """
    check_member(space, architecture)
    if architecture.resolution not in space.resolutions:
        msg = f"resolution {architecture.resolution} is not in the list of space {space.name}"
        raise InputError(msg)
    genes = [0] * space.slots
    for slots, stage in zip(space.stage_slots, architecture.stages(), strict=True):
        for slot, choice in enumerate(stage, start=slots.start):
            genes[slot] = 1 + space.choices[slot].index(choice)
    first = space.resolutions.index(architecture.resolution), space.width_index(architecture.width)
    return np.array([*first, *genes], dtype=np.int64)


def decode(space: SearchSpace, genotype: Population) -> Architecture:
    """Return the architecture of an `L`-vector, which need not be canonical.

    Raises:
        InputError: The vector has another length.
    """
    if genotype.shape != (space.genotype_length,):
        msg = f"a genotype of space {space.name} has {space.genotype_length} integers, not {genotype.size}"
        raise InputError(msg)
    return decode_all(space, genotype[None])[0]


def decode_all(space: SearchSpace, population: Population) -> list[Architecture]:
    """Return the architecture of each row of the `n x L` array `population`. The rows need not be canonical."""
    return [_build(space, row) for row in repair(space, population).tolist()]


def _build(space: SearchSpace, row: Sequence[int]) -> Architecture:
    genes = row[2:]
    chosen = [choices[gene - 1] for choices, gene in zip(space.choices, genes, strict=True) if gene]
    return Architecture(
        resolution=space.resolutions[row[0]],
        width=space.widths[row[1]],
        depths=tuple(sum(gene > 0 for gene in genes[slots]) for slots in space.stage_slots),
        kernels=tuple(kernel for kernel, _ in chosen),
        expand_ratios=tuple(ratio for _, ratio in chosen),
    )


def sample(space: SearchSpace, count: int, rng: np.random.Generator) -> Population:
    """Draw `count` rows: the depth of each stage uniformly, then the choices of each active layer uniformly.

    If every gene were drawn uniformly, 82 % of the stages would have their full depth. Rows may repeat.
    """
    genes = rng.integers(1, 1 + bounds(space)[1][2:], size=(count, space.slots))
    drawn = rng.integers(np.array([len(stage.depths) for stage in space.stages]), size=(count, len(space.stages)))
    skip_beyond_depths(space, genes, drawn)
    resolution = rng.integers(len(space.resolutions), size=(count, 1))
    width = rng.integers(len(space.widths), size=(count, 1))
    return np.concatenate([resolution, width, genes], axis=1)


def skip_beyond_depths(space: SearchSpace, genes: Population, depths: Population) -> None:
    """Set the genes of the layers beyond a stage's depth to 0, in place.

    Args:
        space: Search space.
        genes: `n x slots` layer genes.
        depths: `n x stages` indices into the depths of each stage.
    """
    for stage, slots, drawn in zip(space.stages, space.stage_slots, depths.T, strict=True):
        depth = np.array(stage.depths)[drawn]
        genes[:, slots][np.arange(stage.slots) >= depth[:, None]] = 0


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


def sample_marginals(space: SearchSpace, population: Population, count: int, rng: np.random.Generator) -> Population:
    """Draw `count` canonical rows, each gene independently from its values in `population`.

    The rows follow the product of the per-gene categorical marginals.
    Source: Lu et al., NAT (TPAMI 2021), section 3.3.
    """
    rows = rng.integers(len(population), size=(count, space.genotype_length))
    return repair(space, np.take_along_axis(population, rows, axis=0))
