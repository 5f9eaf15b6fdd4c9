"""The losses of an epoch."""

import re

import pytest
import torch

from natdeploy.errors import DivergedError
from natdeploy.supernet.losses import EpochLosses


def test_the_mean_is_that_of_all_losses():
    """The mean of an epoch counts each step once."""
    losses = EpochLosses(0, 0.1)
    for value in (1.0, 2.0, 6.0):
        losses.add(torch.tensor(value))
    assert losses.mean() == pytest.approx(3.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 2e4])
def test_a_loss_that_no_network_has_ends_the_epoch_at_its_step(value):
    """The step and the epoch are named, and so is the learning rate that was too high."""
    losses = EpochLosses(1, 50.0)
    losses.add(torch.tensor(2.0))
    losses.add(torch.tensor(300.0))
    with pytest.raises(
        DivergedError, match=rf"the loss of step 3 of epoch 2 is {re.escape(f'{value:.3g}')}"
    ) as diverged:
        losses.add(torch.tensor(value))
    assert "a lower --lr than 50" in str(diverged.value.hint)
