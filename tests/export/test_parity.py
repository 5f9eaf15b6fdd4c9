"""The comparison of a file with the network that it was written from."""

import json

import numpy as np
import pytest
import torch

from natdeploy.errors import InputError
from natdeploy.export.parity import (
    LIMITS,
    Limits,
    check_accuracy,
    check_parity,
    compare,
    compute_reference,
    find_limits,
)
from natdeploy.testing.networks import noise_images, tiny_network

LOGITS = np.array([[4.0, 1.0, -10.0], [2.0, 3.0, 0.0]], dtype=np.float32)


def changed(row, column, value):
    """LOGITS with one value replaced."""
    outputs = LOGITS.copy()
    outputs[row, column] = value
    return outputs


def test_equal_outputs_pass_with_perfect_figures():
    """A file that computes exactly the same has no error, cosine 1 and full agreement."""
    parity = compare(LOGITS, LOGITS)
    assert parity.passed
    assert parity.to_json() == {
        "inputs": 2,
        "max_abs_error": 0.0,
        "relative_error": 0.0,
        "cosine": 1.0,
        "top1_agreement": 1.0,
        "reason": None,
        "passed": True,
    }


@pytest.mark.parametrize(("error", "passed"), [(0.0009, True), (0.0011, False)])
def test_error_is_held_against_the_largest_logit(error, passed):
    """The limit is 1e-4 of the largest absolute logit, here 0.001."""
    parity = compare(LOGITS, changed(1, 2, error))
    assert parity.max_abs_error == pytest.approx(error)
    assert parity.relative_error == pytest.approx(error / 10)
    assert parity.passed is passed
    assert passed or "of the largest logit, the limit is 0.0001" in parity.reason


def test_tie_within_the_tolerance_agrees():
    """Two logits that differ by less than the tolerance may change places."""
    reference = changed(1, 0, 2.9995)
    outputs = reference.copy()
    outputs[1, :2] = 3.0, 2.9996
    assert compare(reference, outputs).passed


def test_disagreement_alone_is_told():
    """Where errors are within bounds and places are not, the share of equal places is the reason."""
    reference = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.4]], dtype=np.float32)
    outputs = np.array([[1.0, 0.0, 0.0], [0.0, 0.449, 0.451]], dtype=np.float32)
    parity = compare(reference, outputs, limits=Limits(relative_error=0.0999))
    assert (parity.passed, parity.top1_agreement) == (False, 0.5)
    assert "50.0% of the inputs" in parity.reason


def test_cosine_is_the_smallest_over_the_inputs():
    """One input that points elsewhere shows in the cosine."""
    parity = compare(LOGITS, np.stack([LOGITS[0], -LOGITS[1]]))
    assert parity.cosine == pytest.approx(-1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_fail(value):
    """NaN and infinity fail on either side, and become null in JSON."""
    for reference, outputs, whose in (
        (LOGITS, changed(0, 1, value), "file"),
        (changed(0, 1, value), LOGITS, "network"),
    ):
        parity = compare(reference, outputs)
        assert f"outputs of the {whose} are not finite" in parity.reason
        assert json.loads(json.dumps(parity.to_json(), allow_nan=False))["max_abs_error"] is None


def test_reference_that_does_not_vary_fails():
    """Outputs that are the same for all inputs, or nearly, prove nothing, whatever the file computes."""
    same = np.repeat(LOGITS[:1], 4, axis=0)
    for reference in (same, same + np.linspace(0, 9e-3, 4, dtype=np.float32)[:, None], np.zeros_like(same)):
        parity = compare(reference, reference)
        assert "do not vary" in parity.reason


def test_file_that_ignores_its_input_never_passes():
    """The best that a constant file can do against outputs that just vary enough fails."""
    reference = np.array([[10.0, 0.0], [10.0, 0.0102]], dtype=np.float32)
    constant = np.repeat(reference.mean(axis=0, keepdims=True), 2, axis=0)
    assert not compare(reference, constant).passed


def test_another_number_of_classes_fails():
    """A file of another number of outputs fails with both shapes."""
    assert "shape [2, 2], those of the network [2, 3]" in compare(LOGITS, LOGITS[:, :2]).reason


def test_reference_is_computed_in_evaluation_mode_and_leaves_the_network():
    """A network in training mode gives the logits of evaluation mode, in chunks, and stays as it was."""
    network = tiny_network().eval()
    images = noise_images(network, 20)
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    np.testing.assert_allclose(compute_reference(network, images), expected, rtol=1e-4, atol=1e-4)
    assert all(module.training for module in network.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_images_that_prove_nothing_are_refused():
    """A single image, images of another size and images that are not finite are refused."""
    network = tiny_network()
    images = noise_images(network, 2)
    for wrong in (images[:1], images[..., :16], images[0]):
        with pytest.raises(InputError, match="at least 2 images"):
            check_parity(network, None, wrong)
    with pytest.raises(InputError, match="finite"):
        check_parity(network, None, images * np.inf)


@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.999), ("int8", 0.95)])
def test_narrower_precisions_are_held_to_the_cosine(precision, least):
    """Of fp16 and int8 only the direction of the outputs counts: just above the limit passes, just below does not."""
    reference = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)

    def turned(cosine):
        across = np.sqrt(1 - cosine**2)
        return np.array([[cosine, across], [-across, cosine]], dtype=np.float32)

    assert compare(reference, turned(least + 2e-4), limits=LIMITS[precision]).passed
    failed = compare(reference, turned(least - 2e-4), limits=LIMITS[precision])
    assert f"it must be above {least:g}" in failed.reason


def test_int8_is_held_to_all_outputs_together():
    """One image of small outputs may be off in int8, where all together are right; in fp16 it may not."""
    reference = np.array([[10.0, 0.0], [0.0, 10.0], [0.1, 0.0]], dtype=np.float32)
    outputs = np.array([[10.0, 0.0], [0.0, 10.0], [0.0, 0.1]], dtype=np.float32)
    assert compare(reference, outputs, limits=LIMITS["int8"]).passed
    assert not compare(reference, outputs, limits=LIMITS["fp16"]).passed


def test_constant_file_is_not_similar_enough():
    """Where all outputs are nearly alike, a file that ignores its input has a high cosine, and fails all the same."""
    rng = np.random.default_rng(0)
    reference = (np.linspace(5, 9, 6) + 0.2 * rng.standard_normal((8, 6))).astype(np.float32)
    constant = np.broadcast_to(reference.mean(axis=0), reference.shape)
    parity = compare(reference, constant, limits=LIMITS["int8"])
    assert parity.cosine > 0.99
    assert "of the variance of the outputs between inputs" in parity.reason
    assert compare(reference, reference + 0.01, limits=LIMITS["int8"]).passed


class Shifted:
    """A file that answers with the next class for the first `wrong` images it is given."""

    def __init__(self, network, wrong):
        self.network, self.wrong = network, wrong

    def run(self, images):
        """Answer, and count."""
        outputs = compute_reference(self.network, images)
        count = min(self.wrong, len(images))
        outputs[:count] = np.roll(outputs[:count], 1, axis=1)
        self.wrong -= count
        return outputs


@pytest.mark.parametrize(("wrong", "passed"), [(0, True), (1, True), (2, False)])
def test_hits_are_counted_before_and_after(wrong, passed):
    """Over all parts, hits of network and file are counted; 2 points are too many, a single image never is."""
    network = tiny_network()
    images = noise_images(network, 40)
    labels = compute_reference(network, images).argmax(axis=1)
    parts = ((images[start : start + 25], labels[start : start + 25]) for start in (0, 25))
    accuracy = check_accuracy(network, Shifted(network, wrong), parts)
    assert (accuracy.images, accuracy.before, accuracy.after) == (40, 1.0, 1.0 - wrong / 40)
    assert (accuracy.reason is None) is passed
    assert passed or "falls from 1.0000 to 0.9500, 5.0 points" in accuracy.reason


def test_random_weights_are_held_to_less_in_int8_alone():
    """Rounding that random weights amplify is no fault of an int8 file; in other precisions nothing changes."""
    assert find_limits("int8", random_weights=True).overall_cosine is None
    assert find_limits("int8", random_weights=False) == LIMITS["int8"]
    assert find_limits("fp16", random_weights=True) == LIMITS["fp16"]
    assert find_limits("fp32", random_weights=True) == LIMITS["fp32"]
