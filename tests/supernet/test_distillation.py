"""The order of channels, and training by distillation from a pretrained network."""

import copy
import dataclasses

import pytest
import torch

from natdeploy.core.architecture import largest
from natdeploy.io.spaces import find_space
from natdeploy.supernet.choice_statistics import fill_statistics
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.distillation import DistillationTrainer, compute_distillation_loss
from natdeploy.supernet.importance import order_channels
from natdeploy.supernet.recipe import Recipe
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.training import ElasticTrainer
from tests.support.supernets import scramble

SPACE = find_space("starter").with_resolutions((32,))
TOP = largest(SPACE)


def make_supernet(seed=0):
    """Return a supernet of five classes with scrambled BatchNorms."""
    supernet = Supernet(SPACE, 5, seed=seed)
    scramble(supernet)
    return supernet.eval()


def noise(count=16):
    """Return images of seeded noise."""
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def test_the_order_of_channels_changes_nothing_but_smaller_networks():
    """The largest network computes the same; a small expand ratio comes nearer to it than in the reverse order."""
    supernet = make_supernet()
    engine = supernet.engine(0.5)
    for block in engine.blocks[1:]:
        with torch.no_grad():
            block.project.conv.weight.mul_(torch.rand(block.project.conv.weight.shape[1])[None, :, None, None] ** 4)
    with torch.inference_mode():
        before = engine(noise(), TOP)
    order_channels(engine, TOP, [noise()])
    narrow = dataclasses.replace(TOP, expand_ratios=tuple(4 for _ in TOP.expand_ratios))
    turned = copy.deepcopy(engine)
    for block in turned.blocks[1:]:
        reverse = torch.arange(len(block.depthwise.conv.weight)).flip(0)
        reorder(block, reverse)
    with torch.inference_mode():
        torch.testing.assert_close(engine(noise(), TOP), before, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(turned(noise(), TOP), before, rtol=1e-4, atol=1e-4)
        near, far = ((network(noise(), narrow) - before).norm() for network in (engine, turned))
    assert near < 0.7 * far


def reorder(block, order):
    """Permute the channels inside a block."""
    from natdeploy.supernet import importance

    with torch.no_grad():
        importance._reorder(block, order)


def test_the_loss_is_least_for_the_network_itself():
    """A network that computes the same has only the entropy of the classes left; any other has more."""
    goal = [torch.randn(4, 8, 2, 2), torch.randn(4, 5)]
    classes = goal[-1].softmax(dim=1)
    entropy = float(-(classes * classes.log()).sum(dim=1).mean())
    assert float(compute_distillation_loss(goal, goal)) == pytest.approx(entropy, rel=1e-5)
    assert float(compute_distillation_loss([goal[0] + 1, goal[1]], goal)) > entropy + 0.5
    assert float(compute_distillation_loss([goal[0], goal[1].flip(1)], goal)) > entropy


def test_subnets_come_nearer_to_the_original_which_stays():
    """Without labels the loss falls, the original and all statistics stay, and the largest is drawn half of the time.

    Training that normalizes by the batch gives up the statistics of choices.
    """
    supernet, original = make_supernet(), make_supernet().engine(0.5)
    before = copy.deepcopy(original.state_dict())
    pixels = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = ImageSet(images=pixels, labels=torch.zeros(64, dtype=torch.int64))
    fill_statistics(supernet.engine(0.5), TOP, [noise()])
    task = Task(
        name="noise", classes=tuple("abcde"), mean=(0.5,) * 3, std=(0.5,) * 3, flip=True,
        train=images, validation=images, test=images,
    )  # fmt: skip
    recipe = Recipe(batch_size=16, lr=0.02, sandwich=True)
    trainer = DistillationTrainer(original, supernet, task, recipe, total_epochs=6, largest_only_epochs=0, seed=0)
    losses = [trainer.train_epoch(number, None) for number in range(6)]
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.equal(before[name], tensor) for name, tensor in original.state_dict().items())
    engine = supernet.engine(0.5)
    assert supernet.has_statistics
    assert torch.equal(engine.stem.bn.running_mean, original.stem.bn.running_mean)
    ElasticTrainer(supernet, task, recipe, total_epochs=1, largest_only_epochs=0, seed=0)
    assert not supernet.has_statistics
    import numpy as np

    rng = np.random.default_rng(0)
    first = [trainer._draw(None, rng)[0] for _ in range(40)]
    assert 10 < sum(architecture == TOP for architecture in first) < 30
