"""OFA's perceptron in numpy."""

import numpy as np
import pytest

from natdeploy.core.genotype import decode, sample
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.search.pretrained_predictor import RESOLUTIONS, PretrainedPredictor

SPACE = find_space("ofa-mbv3-w1.2").with_resolutions((160, 192, 224))


def layers(*sizes, seed=0):
    """Return random layers from 128 features over some sizes to one value."""
    rng = np.random.default_rng(seed)
    pairs = zip((128, *sizes), (*sizes, 1), strict=True)
    return [
        (rng.normal(size=(outputs, inputs)).astype(np.float32), rng.normal(size=outputs).astype(np.float32))
        for inputs, outputs in pairs
    ]


def published_features(architecture):
    """Return the 128 features in the published order, slot by slot from the architecture's own lists."""
    kernel, expand, size = np.zeros((20, 3)), np.zeros((20, 3)), np.zeros(8)
    for stage, pairs in enumerate(architecture.stages()):
        for place, (k, e) in enumerate(pairs):
            kernel[4 * stage + place, (3, 5, 7).index(k)] = 1
            expand[4 * stage + place, (3, 4, 6).index(e)] = 1
    size[(architecture.resolution - 112) // 16] = 1
    return np.concatenate([kernel.ravel(), expand.ravel(), size])


def test_it_computes_what_the_published_layout_says():
    """For random weights and architectures, the value is that of the perceptron over the published features."""
    rows = sample(SPACE, 50, np.random.default_rng(1))
    weights = layers(7, 5)
    expected = []
    for row in rows:
        values = published_features(decode(SPACE, row))
        for number, (weight, bias) in enumerate(weights):
            values = weight @ values + bias
            values = np.maximum(values, 0) if number < 2 else values
        expected.append(values[0])
    np.testing.assert_allclose(PretrainedPredictor(SPACE, weights)(rows), expected, rtol=1e-4, atol=1e-4)


def test_chunks_do_not_matter(monkeypatch):
    """Predictions do not depend on how many rows are computed at once."""
    rows = sample(SPACE, 20, np.random.default_rng(1))
    predictor = PretrainedPredictor(SPACE, layers(6))
    whole = predictor(rows)
    monkeypatch.setattr("natdeploy.search.pretrained_predictor._CHUNK", 3)
    np.testing.assert_allclose(predictor(rows), whole, rtol=1e-5, atol=1e-6)
    assert predictor(rows[:0]).shape == (0,)


def test_gains_are_what_a_gene_changes():
    """For weights that leave every unit on, gains tell exactly what another gene in one slot changes."""
    weights = [(np.abs(weight), np.abs(bias)) for weight, bias in layers(7, 5)]
    predictor = PretrainedPredictor(SPACE, weights)
    rows = sample(SPACE, 20, np.random.default_rng(1))
    gains = predictor.gains(rows)
    assert gains.shape == (20, 20, 10)
    for slot, gene in ((0, 3), (5, 9), (19, 0), (18, 1)):
        changed = rows.copy()
        changed[:, 2 + slot] = gene
        told = gains[:, slot, gene] - gains[np.arange(20), slot, rows[:, 2 + slot]]
        np.testing.assert_allclose(told, predictor(changed) - predictor(rows), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("wrong", [[(120, 4), (4, 1)], [(128, 4), (5, 1)], [(128, 4), (4, 2)]])
def test_layers_that_do_not_fit_are_refused(wrong):
    """Features of another count, layers that do not follow on each other, and several outputs are refused."""
    made = [(np.zeros((out, into), dtype=np.float32), np.zeros(out, dtype=np.float32)) for into, out in wrong]
    with pytest.raises(InputError, match="must map 128 features to 1 value"):
        PretrainedPredictor(SPACE, made)


def test_a_space_of_two_widths_is_refused():
    """The features do not hold the width, so that it must be one."""
    with pytest.raises(InputError, match="for one width") as refused:
        PretrainedPredictor(find_space("nat").with_resolutions(RESOLUTIONS), layers(4))
    assert "--width" in refused.value.hint
