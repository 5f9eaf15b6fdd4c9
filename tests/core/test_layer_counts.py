"""The matrix of networks and layers."""

from __future__ import annotations

import numpy as np
import pytest

from natdeploy.core.cost import space_layers
from natdeploy.core.latency import CLASSIFIER_COUNTS
from natdeploy.core.layer_counts import count_layers
from natdeploy.io.spaces import find_space


def test_repeated_layers_are_counted():
    """Every occurrence in a network counts, and layers that it does not contain count as zero."""
    first, second, third = space_layers(find_space("starter"), 0.5, 32, CLASSIFIER_COUNTS)[:3]
    counts = count_layers([[first, second, first], [second], []], [first, second, third])
    assert np.array_equal(counts, [[2, 1, 0], [0, 1, 0], [0, 0, 0]])


def test_a_layer_without_a_column_is_refused():
    """Nothing is dropped from a network."""
    first, second = space_layers(find_space("starter"), 0.5, 32, CLASSIFIER_COUNTS)[:2]
    with pytest.raises(KeyError):
        count_layers([[first, second]], [first])
