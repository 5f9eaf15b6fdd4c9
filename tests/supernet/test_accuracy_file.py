"""Reading OFA's accuracy predictor."""

from pathlib import Path

import numpy as np
import pytest
import torch

from natdeploy.core.genotype import encode
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import read_architecture
from natdeploy.search.pretrained_predictor import RESOLUTIONS, PretrainedPredictor
from natdeploy.supernet.accuracy_file import read_perceptron


def test_the_published_file_is_read_and_tells_plausible_accuracies(shared_data: Path) -> None:
    """OFA's predictor has four layers, and sets the smallest and the largest architecture apart."""
    layers = read_perceptron(shared_data / "accuracy" / "ofa_mbv3_w1.2_acc_predictor.pth")
    assert [weight.shape for weight, _ in layers] == [(400, 128), (400, 400), (400, 400), (1, 400)]
    space = find_space("ofa-mbv3-w1.2").with_resolutions(RESOLUTIONS)
    predictor = PretrainedPredictor(space, layers)
    small, large = (
        read_architecture(
            f'{{"w": 1.2, "r": {r}, "d": {[d] * 5}, "e": {[e] * 5 * d}, "ks": {[k] * 5 * d}}}', space
        ).architecture
        for r, d, e, k in ((160, 2, 3, 3), (224, 4, 6, 7))
    )
    low, high = predictor(np.stack([encode(space, small), encode(space, large)]))
    assert 0.70 < low < 0.78
    assert 0.80 < high < 0.90


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({}, "not a checkpoint: .*it is empty"),
        ({"stem.conv.weight": torch.ones(2, 2)}, "it holds 'stem.conv.weight'"),
        ({"0.weight": torch.ones(2, 2)}, "layer 0 is no linear layer"),
        ({"0.weight": torch.ones(2, 2), "0.bias": torch.ones(3)}, "layer 0 is no linear layer"),
        ({"0.weight": torch.ones(2, 2, 1), "0.bias": torch.ones(2)}, "layer 0 is no linear layer"),
        ({"0.weight": torch.full((2, 2), torch.nan), "0.bias": torch.zeros(2)}, r"not finite numbers, in 0\.weight"),
    ],
)
def test_other_files_are_refused(state: dict[str, torch.Tensor], reason: str, tmp_path: Path) -> None:
    """A checkpoint of something else is refused by what is wrong in it."""
    path = tmp_path / "predictor.pth"
    torch.save(state, path)
    with pytest.raises(InputError, match=reason) as refused:
        read_perceptron(path)
    assert str(path) in refused.value.message


def test_a_predictor_of_parameters_is_read(shared_data: Path, tmp_path: Path) -> None:
    """Parameters, tensors that need gradients and half precision give the layers that plain tensors give."""
    made = read_perceptron(shared_data / "cases" / "hostile" / "acc_param.pth")
    assert [weight.shape for weight, _ in made] == [(400, 128), (400, 400), (400, 400), (1, 400)]
    plain = {"0.weight": torch.full((1, 2), 0.5), "0.bias": torch.ones(1)}
    for change in (torch.nn.Parameter, lambda tensor: tensor.clone().requires_grad_(), torch.Tensor.half):
        torch.save({f"module.{name}": change(tensor) for name, tensor in plain.items()}, tmp_path / "p.pth")
        ((weight, bias),) = read_perceptron(tmp_path / "p.pth")
        assert (weight.tolist(), bias.tolist()) == ([[0.5, 0.5]], [1.0])
        assert weight.dtype == np.float32
