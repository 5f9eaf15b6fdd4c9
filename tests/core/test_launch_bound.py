"""Whether launches or work explain latency."""

from __future__ import annotations

import numpy as np
import pytest

from natdeploy.core.genotype import decode, sample
from natdeploy.core.launch_bound import explain_latency
from natdeploy.core.layers import walk
from natdeploy.io.spaces import find_space

SPACE = find_space("starter")


def networks(space=SPACE, count=40):
    """Return the layers of random networks."""
    return [walk(space, decode(space, row), 10) for row in sample(space, count, np.random.default_rng(0))]


def test_latency_by_depth_is_launch_bound():
    """Where blocks take the same time whatever they do, depth explains latency and resolution does not."""
    chosen = networks()
    causes = explain_latency(chosen, [2.0 + 0.5 * len(layers) for layers in chosen])
    assert causes.launch_bound
    assert causes.depth_error_percent == pytest.approx(0, abs=0.01)
    assert causes.work_error_percent > 1
    assert "within 0.0 %" in str(causes)


def test_latency_by_work_is_not_launch_bound():
    """Where time follows the multiply-adds, it is not."""
    chosen = networks()
    causes = explain_latency(chosen, [1e-6 * sum(layer.madds for layer in layers) for layers in chosen])
    assert not causes.launch_bound
    assert causes.work_error_percent == pytest.approx(0, abs=0.01)
    assert causes.resolution_rho > 0.5


def test_latency_that_follows_resolution_is_not_launch_bound():
    """Pixels count, so that work counts, however well depth explains the rest."""
    chosen = networks()
    causes = explain_latency(chosen, [0.1 * layers[0].in_size for layers in chosen])
    assert causes.resolution_rho == pytest.approx(1)
    assert not causes.launch_bound


def test_one_resolution_leaves_the_decision_to_depth():
    """Without a second resolution there is no correlation to look at."""
    chosen = networks(SPACE.with_resolutions((48,)))
    causes = explain_latency(chosen, [2.0 + 0.5 * len(layers) for layers in chosen])
    assert causes.resolution_rho is None
    assert causes.launch_bound
