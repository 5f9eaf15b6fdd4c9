"""OFA's pretrained accuracy predictor, computed in numpy.

Source: Cai et al., Once-for-All (ICLR 2020): a multilayer perceptron over one-hot choices. A slot has one feature for
each kernel size and each expand ratio, all zero if it is skipped. Eight features of the resolution follow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.genotype import Population
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.search.predictor import Values

Singles = NDArray[np.float32]
Layers = Sequence[tuple[Singles, Singles]]
RESOLUTIONS = tuple(range(112, 225, 16))
_CHUNK = 2048


class PretrainedPredictor:
    """Predicts the top-1 of architectures by a pretrained perceptron.

    Args:
        space: Search space, of one width and of resolutions in `RESOLUTIONS`.
        layers: Weights, `outputs x inputs`, and biases of its layers. A ReLU follows all but the last.

    Raises:
        InputError: The layers do not fit the space.
    """

    def __init__(self, space: SearchSpace, layers: Layers) -> None:
        kernels, ratios = _count_choices(space)
        one_slot = kernels + ratios
        _check(space, [weight.shape for weight, _ in layers], space.slots * one_slot + len(RESOLUTIONS))
        by_kind = np.arange(space.slots * one_slot)
        kernel_places = by_kind[: space.slots * kernels].reshape(space.slots, kernels)
        ratio_places = by_kind[space.slots * kernels :].reshape(space.slots, ratios)
        by_slot = np.concatenate([kernel_places, ratio_places], axis=1).ravel()
        first = layers[0][0].T
        self._slots = np.ascontiguousarray(first[by_slot])
        self._sizes = first[len(by_slot) :][[RESOLUTIONS.index(size) for size in space.resolutions]] + layers[0][1]
        self._choices = _one_hot(kernels, ratios)
        self._rest = [(np.ascontiguousarray(weight.T), bias) for weight, bias in layers[1:]]

    def __call__(self, population: Population) -> Values:
        """Return the `n` predicted values of the `n x L` array `population`."""
        predicted = np.empty(len(population))
        for start in range(0, len(population), _CHUNK):
            part = population[start : start + _CHUNK]
            values = self._choices[part[:, 2:]].reshape(len(part), -1) @ self._slots
            values += self._sizes[part[:, 0]]
            for weight, bias in self._rest:
                np.maximum(values, 0, out=values)
                values = values @ weight
                values += bias
            predicted[start : start + len(part)] = values[:, 0]
        return predicted

    def gains(self, population: Population) -> Values:
        """Estimate the value with each gene in each slot, `n x slots x genes`, up to a constant per row.

        The estimate is the gradient with respect to the features. It is exact as long as no ReLU switches.
        """
        values = self._choices[population[:, 2:]].reshape(len(population), -1) @ self._slots
        values += self._sizes[population[:, 0]]
        active = []
        for weight, bias in self._rest:
            active.append(values > 0)
            values = np.maximum(values, 0) @ weight + bias
        slope = np.ones_like(values)
        for (weight, _), kept in zip(reversed(self._rest), reversed(active), strict=True):
            slope = (slope @ weight.T) * kept
        by_choice = (slope @ self._slots.T).reshape(*population[:, 2:].shape, -1)
        gains: Values = (by_choice @ self._choices.T).astype(float)
        return gains


def _count_choices(space: SearchSpace) -> tuple[int, int]:
    """Return the numbers of kernel sizes and of expand ratios, which must be the same in all slots."""
    counts = {
        (len(space.stages[index].kernels), len(space.stages[index].expand_ratios[position]))
        for index, position in space.slot_places
    }
    if len(counts) > 1:
        msg = f"the accuracy predictor is for as many choices in every block, and those of space {space.name} differ"
        raise InputError(msg)
    return counts.pop()


def _one_hot(kernels: int, ratios: int) -> Singles:
    """Return the features of a slot for each gene, `genes x (kernels + ratios)`."""
    gene = np.arange(kernels * ratios)
    choices = np.zeros((1 + len(gene), kernels + ratios), dtype=np.float32)
    choices[1 + gene, gene % kernels] = choices[1 + gene, kernels + gene // kernels] = 1
    return choices


def _check(space: SearchSpace, shapes: Sequence[tuple[int, ...]], inputs: int) -> None:
    chained = [inputs, *(shape[0] for shape in shapes)]
    if [shape[1] for shape in shapes] != chained[:-1] or chained[-1] != 1:
        msg = f"an accuracy predictor of {space.name} must map {inputs} features to 1 value; its layers are {[*shapes]}"
        raise InputError(msg)
    if len(space.widths) > 1:
        msg = f"the accuracy predictor is for one width, and space {space.name} has {len(space.widths)}"
        raise InputError(msg, hint="give a supernet of one width, or one width with --width")
