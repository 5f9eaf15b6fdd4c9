"""The first classifier of a task: a linear probe on the features that a supernet has before it is adapted.

A random classifier spoils good features in the first steps of training, by gradients that say nothing yet (Kumar et
al., Fine-Tuning can Distort Pretrained Features, ICLR 2022, section 4); a fitted one leaves them in place.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
import torch.nn.functional as nnf
from sklearn.linear_model import RidgeClassifierCV
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from natdeploy.core.architecture import largest
from natdeploy.supernet.accelerator import place_of
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.network import Network
from natdeploy.supernet.supernet import Supernet

_IMAGES = 10_000
_BATCH = 128
_PENALTIES = np.logspace(-1, 6, 15)
_SCALES = np.geomspace(1, 32, 11)


def fit_classifiers(supernet: Supernet, task: Task, *, seed: int) -> dict[float, float]:
    """Give each width the classifier that finds more validation images: the one it has, or a fitted one, in place.

    Returns, by width, the top-1 of its largest network on the validation images, between 0 and 1.

    It is a ridge regression on the features of the width's largest network, of 10,000 train images at most, its
    penalty chosen by leaving one out, its scale by the loss on the validation images.

    Args:
        supernet: Supernet with trained weights.
        task: Images.
        seed: Seed of the choice of images.
    """
    rng = np.random.default_rng(seed)
    train = task.train.subset(rng.permutation(len(task.train))[:_IMAGES])
    evaluator = SubnetEvaluator(supernet, task, seed=seed, memory_bytes=0)
    top1 = {}
    for width in supernet.space.widths:
        network = evaluator.subnet(dataclasses.replace(largest(supernet.space), width=width))
        own = copy.deepcopy(network.classifier).cpu()
        network.classifier = nn.Identity()  # type: ignore[assignment]
        features, checked = _features(network, task, train), _features(network, task, task.validation)
        labels = task.validation.labels
        fitted = _scaled(_fitted(features, train.labels, supernet.classes), checked, labels)
        best = max((own, fitted), key=lambda linear: _top1(linear, checked, labels))
        supernet.engine(width).classifier.load_state_dict(best.state_dict())
        top1[width] = _top1(best, checked, labels)
    return top1


def _features(network: Network, task: Task, split: ImageSet) -> Tensor:
    parts = torch.arange(len(split)).split(_BATCH)
    device = place_of(network)
    with torch.inference_mode():
        batches = task.batches(split, parts, network.input_size)
        return torch.cat([network(images.to(device)).cpu() for images, _ in batches])


def _fitted(features: Tensor, labels: Tensor, classes: int) -> nn.Linear:
    """Return the ridge regression of `n x f` features on +1 for an image's class and -1 for others."""
    scaler = StandardScaler().fit(features.numpy())
    model = RidgeClassifierCV(_PENALTIES).fit(scaler.transform(features.numpy()), labels.numpy())
    weight, bias = np.atleast_2d(model.coef_) / scaler.scale_, np.atleast_1d(model.intercept_)
    bias = bias - weight @ scaler.mean_
    if len(model.classes_) == 2:
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    linear = nn.Linear(features.shape[1], classes)
    with torch.no_grad():
        # A class without a train image is never the answer.
        linear.weight.zero_()
        linear.bias.fill_(-1.0)
        linear.weight[model.classes_] = torch.from_numpy(weight).float()
        linear.bias[model.classes_] = torch.from_numpy(bias).float()
    return linear


def _scaled(linear: nn.Linear, features: Tensor, labels: Tensor) -> nn.Linear:
    """Multiply a classifier, in place, by what makes its outputs the best logits of these images."""
    with torch.no_grad():
        logits = linear(features)
        losses = [float(nnf.cross_entropy(logits * scale, labels)) for scale in _SCALES]
        scale = float(_SCALES[int(np.argmin(losses))])
        linear.weight.mul_(scale)
        linear.bias.mul_(scale)
    return linear


def _top1(linear: nn.Linear, features: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float((linear(features).argmax(dim=1) == labels).float().mean())
