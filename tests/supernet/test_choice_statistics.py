"""BatchNorm statistics of each choice of a supernet."""

import dataclasses
from pathlib import Path

import pytest
import torch

from natdeploy.core.architecture import largest, smallest
from natdeploy.io.spaces import find_space
from natdeploy.supernet.batchnorm import recalibrate
from natdeploy.supernet.checkpoints import write_state
from natdeploy.supernet.choice_statistics import fill_statistics
from natdeploy.supernet.supernet import Supernet
from tests.support.supernets import random_architectures, scramble

SPACE = find_space("starter").with_resolutions((32,))
TOP = largest(SPACE)
STATISTICS = ("running_mean", "running_var")


def noise(count: int = 64) -> torch.Tensor:
    """Return images of seeded noise."""
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def supernet() -> Supernet:
    """A supernet whose largest network has the statistics of the noise, and whose choices have their own."""
    supernet = Supernet(SPACE, 5)
    scramble(supernet)
    engine = supernet.eval().engine(0.5)
    network = engine.extract(TOP)
    recalibrate(network, [noise()])
    state = {name: tensor for name, tensor in network.state_dict().items() if name.endswith(STATISTICS)}
    engine.load_state_dict(state, strict=False)
    fill_statistics(engine, TOP, [noise()])
    return supernet


def test_the_largest_network_stays_as_it_is(supernet: Supernet) -> None:
    """Its statistics are those that the supernet had before."""
    own = supernet.engine(0.5)
    with torch.inference_mode():
        found = supernet(noise(), TOP)
        own.blocks[3].statistics.clear()
        torch.testing.assert_close(supernet(noise(), TOP), found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("changed", ["kernels", "expand_ratios"])
def test_a_choice_is_normalized_as_by_recalibration(supernet: Supernet, changed: str) -> None:
    """Where the input of a block is that of the largest network, its own statistics are those of the images."""
    values = (3, *getattr(TOP, changed)[1:])
    architecture = dataclasses.replace(TOP, **{changed: values})
    stored, renewed = supernet.extract(architecture).eval(), supernet.extract(architecture)
    plain = Supernet(SPACE, 5)
    recalibrate(renewed, [noise()])
    for unit in ("depthwise", "project"):
        found, wanted = (getattr(network.blocks[1], unit).bn for network in (stored, renewed))
        torch.testing.assert_close(found.running_mean, wanted.running_mean, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(found.running_var, wanted.running_var, rtol=2e-2, atol=1e-3)
    assert supernet.has_statistics
    assert not plain.has_statistics


def test_extraction_and_the_elastic_forward_use_them(supernet: Supernet) -> None:
    """Both give the same, and something else than without them."""
    chosen = [smallest(SPACE), *random_architectures(SPACE, 3)]
    with torch.inference_mode():
        found = [supernet(noise(), architecture) for architecture in chosen]
        for architecture, logits in zip(chosen, found, strict=True):
            torch.testing.assert_close(supernet.extract(architecture).eval()(noise()), logits, rtol=1e-3, atol=1e-3)
        supernet.drop_statistics()
        assert all(
            (supernet(noise(), architecture) - logits).abs().max() > 0.01
            for architecture, logits in zip(chosen, found, strict=True)
        )


def test_a_weight_file_holds_them(supernet: Supernet, tmp_path: Path) -> None:
    """They are loaded from a file that has them, and go with a file that has none."""
    path, bare = tmp_path / "own.safetensors", tmp_path / "bare.safetensors"
    write_state(path, supernet.state_dict())
    write_state(bare, Supernet(SPACE, 5).state_dict())
    loaded = Supernet(SPACE, 5).eval()
    assert loaded.load_weights(path)
    with torch.inference_mode():
        assert torch.equal(loaded(noise(), smallest(SPACE)), supernet(noise(), smallest(SPACE)))
    assert loaded.load_weights(bare)
    assert not loaded.has_statistics
