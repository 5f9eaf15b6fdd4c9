"""The first classifier of a task: fitted to the features, kept where it is better already."""

import dataclasses

import numpy as np
import pytest
import torch

from natdeploy.core.architecture import largest
from natdeploy.core.space import SPACES, SearchSpace
from natdeploy.supernet.classifier import fit_classifiers
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.supernet import Supernet

SPACE = SPACES["starter"].with_resolutions((32,))


def colours(classes: int, each: int = 24) -> Task:
    """Return a task of plain images whose colour is the class: random features blow up the smallest difference."""
    rng = np.random.default_rng(0)
    labels = np.arange(classes * each) % classes
    plain = rng.integers(30, 226, (classes, 3, 1, 1))[labels]
    images = plain + np.zeros((1, 1, 32, 32))
    whole = ImageSet(
        images=torch.from_numpy(images.clip(0, 255).astype(np.uint8)), labels=torch.from_numpy(labels.astype(np.int64))
    )
    third = len(labels) // 3
    return Task(
        name="colours",
        classes=tuple(map(str, range(classes))),
        mean=(0.5,) * 3,
        std=(0.3,) * 3,
        flip=False,
        train=whole.subset(np.arange(third)),
        validation=whole.subset(np.arange(third, 2 * third)),
        test=whole.subset(np.arange(2 * third, len(labels))),
    )


@pytest.mark.parametrize("classes", [2, 5])
def test_a_fitted_classifier_tells_the_classes_apart(classes: int) -> None:
    """On the features of a random supernet, the colours of all test images are found without any training."""
    task, supernet = colours(classes), Supernet(SPACE, classes, seed=1)
    found = fit_classifiers(supernet, task, seed=0)
    evaluator = SubnetEvaluator(supernet, task)
    network = evaluator.subnet(largest(SPACE))
    assert evaluator.test_top1(network) == 1
    assert found == {SPACE.widths[0]: pytest.approx(evaluator.top1(largest(SPACE)), abs=1e-6)}


def test_each_width_gets_its_own() -> None:
    """In a space of two widths, the largest network of each finds the images."""
    space: SearchSpace = dataclasses.replace(SPACE, widths=(0.5, 0.75))
    task, supernet = colours(3), Supernet(space, 3, seed=1)
    found = fit_classifiers(supernet, task, seed=0)
    assert set(found) == {0.5, 0.75}
    assert min(found.values()) == 1


def test_a_classifier_that_is_as_good_stays() -> None:
    """Fitting again changes nothing: the first one finds as many images."""
    task, supernet = colours(3), Supernet(SPACE, 3, seed=1)
    fit_classifiers(supernet, task, seed=0)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    fit_classifiers(supernet, task, seed=0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())


def test_nothing_but_the_classifier_changes() -> None:
    """Features and their statistics are as they were."""
    task, supernet = colours(3), Supernet(SPACE, 3, seed=1)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    fit_classifiers(supernet, task, seed=0)
    changed = {name for name, tensor in supernet.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[2] for name in changed} == {"classifier"}


def test_a_class_without_train_images_is_never_the_answer() -> None:
    """A third class that has no train image leaves the other two as well told apart."""
    task = colours(2)
    task = dataclasses.replace(task, classes=("0", "1", "absent"))
    supernet = Supernet(SPACE, 3, seed=1)
    assert fit_classifiers(supernet, task, seed=0)[SPACE.widths[0]] == 1
