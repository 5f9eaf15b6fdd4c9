"""The one mechanism for every cost: an array over (width, resolution, slot, gene), one gather, one reduction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.genotype import Population, skip_beyond_depths
from natdeploy.core.layers import Layer, block_layer, stem_layers, tail_layers
from natdeploy.core.space import SearchSpace

Values = NDArray[np.float64]
_CHUNK = 4096
FP32_BYTES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostArray:
    """A cost of every architecture of a space.

    Args:
        blocks: `widths x resolutions x slots x genes` array; gene 0 (skip) costs 0. In a slot with fewer choices than
            others, the genes that it does not have cost as much as its last one.
        fixed: `widths x resolutions` array of what every architecture pays.
        by_max: Whether the network's cost is the largest of its layers' costs instead of their sum.
    """

    blocks: Values
    fixed: Values
    by_max: bool = False

    def __call__(self, population: Population) -> Values:
        """Return the `n` costs of the `n x L` array `population`, whose rows are canonical."""
        _, resolutions, slots, genes = self.blocks.shape
        flat, fixed = self.blocks.ravel(), self.fixed.ravel()
        offsets = np.arange(slots, dtype=np.int64) * genes
        costs = np.empty(len(population))
        for start in range(0, len(population), _CHUNK):
            part = population[start : start + _CHUNK]
            network = part[:, 1] * resolutions + part[:, 0]
            places = part[:, 2:] + (network * (slots * genes))[:, None] + offsets
            values = flat[places]
            if self.by_max:
                cost = np.maximum(values.max(axis=1), fixed[network])
            else:
                cost = values.sum(axis=1) + fixed[network]
            costs[start : start + len(part)] = cost
        return costs

    def cheapest(self, space: SearchSpace) -> tuple[Population, float]:
        """Return the cheapest genotype and its cost. The cost must be one that adds up over layers.

        Ties go to the lower genes. The loop is over pairs of width and resolution, not over architectures.
        """
        by_slot = self.blocks[..., 1:].min(axis=-1)
        by_depth = [
            by_slot[..., slots].cumsum(axis=-1)[..., np.array(stage.depths) - 1]
            for stage, slots in zip(space.stages, space.stage_slots, strict=True)
        ]
        least = np.stack([costs.min(axis=-1) for costs in by_depth], axis=-1).sum(axis=-1) + self.fixed
        width, resolution = np.unravel_index(int(np.argmin(least)), least.shape)
        genes = self.blocks[width, resolution, :, 1:].argmin(axis=-1) + 1
        chosen = np.array([[costs[width, resolution].argmin() for costs in by_depth]])
        skip_beyond_depths(space, genes[None], chosen)
        return np.array([resolution, width, *genes], dtype=np.int64), float(least[width, resolution])


def compile_cost(
    space: SearchSpace, classes: int, cost: Callable[[Layer], float], *, by_max: bool = False
) -> CostArray:
    """Compile the cost of a layer into the cost of every architecture of `space`.

    Args:
        space: The space.
        classes: Outputs of the classifier.
        cost: Returns the cost of one layer. It is called once for each distinct layer.
        by_max: Take the largest layer's cost instead of the sum.
    """
    known: dict[Layer, float] = {}

    def price(layer: Layer) -> float:
        if layer not in known:
            known[layer] = float(cost(layer))
        return known[layer]

    reduce = max if by_max else sum
    shape = (len(space.widths), len(space.resolutions))
    blocks = np.zeros((*shape, space.slots, space.max_gene + 1))
    fixed = np.empty(shape)
    for place in np.ndindex(shape):
        width, resolution = space.widths[place[0]], space.resolutions[place[1]]
        fixed[place] = reduce([price(layer) for layer in _fixed_layers(space, width, resolution, classes)])
        for slot in range(space.slots):
            costs = [price(layer) for layer in slot_layers(space, width, resolution, slot)]
            blocks[(*place, slot)][1:] = [*costs, *costs[-1:] * (space.max_gene - len(costs))]
    return CostArray(blocks=blocks, fixed=fixed, by_max=by_max)


def slot_layers(space: SearchSpace, width: float, resolution: int, slot: int) -> list[Layer]:
    """Return the layers that genes 1, 2, .. put into `slot`, in this order."""
    return [
        block_layer(space, width, resolution, slot, kernel=kernel, expand_ratio=expand_ratio)
        for kernel, expand_ratio in space.choices[slot]
    ]


def space_layers(space: SearchSpace, width: float, resolution: int, classes: Sequence[int]) -> list[Layer]:
    """Return every distinct layer that architectures of this width and resolution are made of.

    The classifier is listed once for each of `classes`.
    """
    layers: dict[Layer, None] = dict.fromkeys(stem_layers(space, width, resolution))
    for slot in range(space.slots):
        layers.update(dict.fromkeys(slot_layers(space, width, resolution, slot)))
    for count in classes:
        layers.update(dict.fromkeys(tail_layers(space, width, resolution, count)))
    return list(layers)


def madds_array(space: SearchSpace, classes: int) -> CostArray:
    """Compile the multiply-adds."""
    return compile_cost(space, classes, lambda layer: layer.madds)


def params_array(space: SearchSpace, classes: int) -> CostArray:
    """Compile the parameter counts."""
    return compile_cost(space, classes, lambda layer: layer.params)


def size_array(space: SearchSpace, classes: int) -> CostArray:
    """Compile the size of the weights in an exported fp32 file, in bytes: four a parameter."""
    return compile_cost(space, classes, lambda layer: FP32_BYTES * layer.params)


def peak_memory_array(space: SearchSpace, classes: int) -> CostArray:
    """Compile the peak activation memory, in bytes."""
    return compile_cost(space, classes, lambda layer: layer.peak_memory_bytes, by_max=True)


def _fixed_layers(space: SearchSpace, width: float, resolution: int, classes: int) -> tuple[Layer, ...]:
    return (*stem_layers(space, width, resolution), *tail_layers(space, width, resolution, classes))
