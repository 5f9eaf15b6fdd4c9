"""What runs where: a stand-in for a GPU, whose tensors have a device but no values."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from natdeploy.api.searching import trainer
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.presets import PRESETS
from natdeploy.io.runs import RunFolder
from natdeploy.io.spaces import find_space
from natdeploy.search.problem import SearchGoal
from natdeploy.supernet import accelerator
from natdeploy.supernet.accelerator import autocast, get_device
from natdeploy.supernet.batchnorm import recalibrate
from natdeploy.supernet.data import normalize_images
from natdeploy.supernet.supernet import Supernet
from tests.support.shared_training import made_task


def test_without_a_gpu_everything_is_computed_in_float32(monkeypatch):
    """Where torch finds no GPU, the device is the CPU, and nothing is narrowed."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert accelerator.choose_device() == torch.device("cpu")
    with autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_images_go_to_the_gpu_that_the_weights_are_on():
    """Images are prepared where they are, and recalibration brings them to the weights, which torch would refuse."""
    with FakeTensorMode(), torch.device("cuda"):
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))
        assert get_device(network).type == "cuda"
        prepared = normalize_images(torch.zeros(4, 3, 40, 40, dtype=torch.uint8), 32, (0.5,) * 3, (0.3,) * 3, "bicubic")
        assert prepared.device.type == "cuda"
        images = torch.zeros(4, 3, 32, 32, device="cpu")
        with pytest.raises(RuntimeError, match="device"):
            network(images)
        recalibrate(network, [images])


def test_a_search_builds_its_supernet_on_the_accelerator(monkeypatch, tmp_path):
    """Supernet, trainer and evaluator of a run are where the accelerator is."""
    told = []

    def stand_in():
        told.append("asked")
        return torch.device("cpu")

    moved = []
    to = Supernet.to
    monkeypatch.setattr(trainer, "choose_device", stand_in)
    monkeypatch.setattr(Supernet, "to", lambda self, *given, **named: moved.append(given) or to(self, *given, **named))
    plan = SearchPlan(
        supernet="starter",
        resolutions=(32,),
        widths=find_space("starter").widths,
        data="noise",
        goal=SearchGoal(),
        weights="",
        preset=PRESETS["quick"],
        seed=0,
        threads=1,
    )
    trainer.build_supernet(plan, RunFolder(tmp_path, {}), made_task())
    assert told == ["asked"]
    assert (torch.device("cpu"),) in moved
