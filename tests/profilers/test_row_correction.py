"""Times of single layers, corrected by those of whole networks."""

import numpy as np
import pytest

from natdeploy.core.cost import space_layers
from natdeploy.core.latency import CLASSIFIER_COUNTS
from natdeploy.core.layers import BLOCK
from natdeploy.io.spaces import find_space
from natdeploy.profilers.corrected import draw_correcting_networks
from natdeploy.profilers.row_correction import correct_rows
from natdeploy.profilers.validation_networks import draw_random_networks

SPACE = find_space("starter").with_resolutions((48,))
LAYERS = list(dict.fromkeys(space_layers(SPACE, 0.5, 48, CLASSIFIER_COUNTS)))
PRIOR = {layer: 0.002 + layer.madds / 1e8 for layer in LAYERS}
TRAINING = draw_correcting_networks(SPACE, 0.5, 48, 14, seed=0)
OTHERS = draw_random_networks(SPACE, 40, np.random.default_rng(1))


def total(rows, network):
    """Return the sum over a network's layers."""
    return sum(rows[layer] for layer in network)


def error_percent(rows, true):
    """Return the mean error over networks that were not used."""
    return 100 * np.mean([abs(total(rows, network) / total(true, network) - 1) for network in OTHERS])


def test_times_that_fit_stay():
    """Layers whose sums are what the networks take are not changed."""
    found = correct_rows(PRIOR, TRAINING, [total(PRIOR, network) for network in TRAINING])
    assert found == pytest.approx(PRIOR, rel=1e-6)


@pytest.mark.parametrize(
    "true",
    [
        {layer: 1.25 * value for layer, value in PRIOR.items()},
        {layer: value + layer.params * 2e-8 for layer, value in PRIOR.items()},
        {layer: value * (1.2 if layer.op == BLOCK and layer.kernel == 7 else 1.0) for layer, value in PRIOR.items()},
        {layer: value * (1.15 if layer.in_size < 10 else 1.0) for layer, value in PRIOR.items()},
    ],
    ids=["all slower", "weights farther away", "one kernel slower", "late layers slower"],
)
def test_systematic_deviations_are_found(true):
    """What whole networks take beyond their layers is given to the layers that take it, as other networks show."""
    found = correct_rows(PRIOR, TRAINING, [total(true, network) for network in TRAINING])
    assert error_percent(found, true) < 0.25 * error_percent(PRIOR, true)
    assert error_percent(found, true) < 1.5


def test_noise_is_not_taken_for_deviations():
    """With networks whose times are 3 % noisy, the layers stay closer to the truth than the noise."""
    rng = np.random.default_rng(3)
    true = {layer: 1.1 * value for layer, value in PRIOR.items()}
    measured = [total(true, network) * (1 + rng.normal(0, 0.03)) for network in TRAINING]
    assert error_percent(correct_rows(PRIOR, TRAINING, measured), true) < 3


def test_absurd_times_leave_layers_positive():
    """Networks that seem to take next to nothing do not make any layer take nothing."""
    found = correct_rows(PRIOR, TRAINING, [0.01 * total(PRIOR, network) for network in TRAINING])
    assert all(found[layer] >= 0.0999 * PRIOR[layer] for layer in LAYERS)


def test_without_networks_nothing_changes():
    """No networks, no correction; one network is enough for some."""
    assert correct_rows(PRIOR, [], []) == PRIOR
    found = correct_rows(PRIOR, TRAINING[:1], [1.2 * total(PRIOR, TRAINING[0])])
    assert total(found, TRAINING[0]) == pytest.approx(1.2 * total(PRIOR, TRAINING[0]), rel=0.02)


def test_layers_of_no_network_follow_the_others():
    """A layer that no network holds is corrected as layers are in general."""
    spare = next(layer for layer in LAYERS if not any(layer in network for network in TRAINING[:2]))
    true = {layer: 1.3 * value for layer, value in PRIOR.items()}
    found = correct_rows(PRIOR, TRAINING[:2], [total(true, network) for network in TRAINING[:2]])
    assert found[spare] > 1.1 * PRIOR[spare]
