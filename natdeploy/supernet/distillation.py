"""Elastic training by distillation from a pretrained network, which stays as it was. No image needs a label.

The supernet keeps the BatchNorm statistics of each choice, so that the largest network begins as the pretrained one and
no statistics come from a batch: see `natdeploy.supernet.choice_statistics`.

Source: Hinton et al., Distilling the Knowledge in a Neural Network (2015), for the classes. That subnets also learn the
feature maps, which the stages of all architectures give in the same shape, follows Romero et al., FitNets (ICLR 2015).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from natdeploy.core.architecture import Architecture, largest, smallest
from natdeploy.core.genotype import Population
from natdeploy.supernet.accelerator import autocast
from natdeploy.supernet.elastic import ElasticNetwork
from natdeploy.supernet.training import ElasticTrainer


class DistillationTrainer(ElasticTrainer):
    """Trains a supernet of one width so that every subnet computes what `original` computes.

    If the recipe has a sandwich, one subnet of each step is the largest or the smallest, at random.

    Args:
        original: Elastic network whose largest architecture is the pretrained network. It is not trained.
        given: Arguments of `ElasticTrainer`.
        named: Keyword arguments of `ElasticTrainer`.
    """

    keeps_statistics = True

    def __init__(self, original: ElasticNetwork, *given: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*given, **named)
        self._original = original.eval()
        for parameter in original.parameters():
            parameter.requires_grad_(False)  # noqa: FBT003

    def _step(self, images: Tensor, labels: Tensor, architectures: list[Architecture]) -> Tensor:  # noqa: ARG002
        with torch.inference_mode(), autocast(self._device):
            goal = self._original.forward_stages(images, largest(self.supernet.space))
        goal = [part.float().clone() for part in goal]
        total = images.new_zeros(())
        for architecture in architectures:
            with autocast(self._device):
                found = self.supernet.engine(architecture.width).forward_stages(images, architecture)
            loss = compute_distillation_loss(found, goal)
            loss.backward()
            total = total + loss.detach()
        self._update_weights()
        return total / len(architectures)

    def _draw(self, population: Population | None, rng: np.random.Generator) -> list[Architecture]:
        drawn = super()._draw(population, rng)
        if self.recipe.sandwich:
            space = self.supernet.space
            drawn[0] = largest(space) if rng.integers(2) else smallest(space)
        return drawn


def compute_distillation_loss(found: list[Tensor], goal: list[Tensor]) -> Tensor:
    """Return the cross-entropy to the classes of `goal`, plus the mean relative squared error of the feature maps.

    Args:
        found: Feature maps of the stages and logits of a subnet, as from `ElasticNetwork.forward_stages`.
        goal: Those of the pretrained network.
    """
    *maps, logits = found
    *goals, wanted = goal
    errors = [(own.float() - other).square().mean() / other.var() for own, other in zip(maps, goals, strict=True)]
    return nnf.cross_entropy(logits.float(), wanted.softmax(dim=1)) + torch.stack(errors).mean()
