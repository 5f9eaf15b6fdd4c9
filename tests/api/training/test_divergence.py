"""Training that diverges, and weights of such training, in every workflow."""

import dataclasses
from pathlib import Path

import pytest
import torch

from natdeploy import api
from natdeploy.errors import DivergedError, InputError
from natdeploy.io.spaces import find_space
from natdeploy.supernet.checkpoints import write_state
from natdeploy.supernet.supernet import Supernet
from tests.support.small_search import EFFORT, prepare, small_search

LR = 1e8


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with few digits and a made-up table."""
    prepare(tmp_path / "home", monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def search() -> object:
    """Search with a learning rate that is far too high."""
    return small_search(preset=api.find_preset("quick", {**EFFORT, "lr": LR}), output=Path("run"))


def adapt() -> object:
    """Adapt random weights with it."""
    write_state(Path("given.safetensors"), Supernet(find_space("starter"), 10, seed=1).state_dict())
    return train(api.adapt, api.ADAPTATION, weights=Path("given.safetensors"))


def train(work: object, plan: api.TrainingSettings, **changes: object) -> object:
    """Train a supernet with that learning rate."""
    recipe = dataclasses.replace(plan.recipe, lr=LR, batch_size=64, lr_warmup_epochs=0)
    settings = api.TrainingSettings(recipe=recipe, epochs=2, samples=1)
    space = api.SpaceSelector("starter", (32,))
    return work(data="digits", output=Path("run"), supernet=space, settings=settings, threads=1, **changes)  # type: ignore[operator]


@pytest.mark.parametrize("work", [search, adapt, lambda: train(api.pretrain, api.PRETRAINING)])
def test_training_that_diverges_is_an_error_and_leaves_no_network(folder, work):
    """A learning rate of 1e8 ends training with what to do: at a step, or where the last step's weights show."""
    with pytest.raises(
        DivergedError, match=r"training has diverged: .* epoch \d|outputs .* are not finite"
    ) as diverged:
        work()
    assert "train again with a lower --lr" in str(diverged.value.hint)
    for made in ("subnet.json", "subnet.safetensors", "supernet.safetensors", "archive.csv", "report.html"):
        assert not [*folder.glob(f"**/{made}")]
    checkpoint = folder / "run" / "checkpoint" / "supernet.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)["supernet"]
        assert all(tensor.isfinite().all() for tensor in state.values())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_begin_nothing(folder, value):
    """Weights of training that had diverged are refused by search, adapt and extract, by file and tensor."""
    state = Supernet(find_space("starter"), 10, seed=1).state_dict()
    state["engines.w0_5.stem.conv.weight"][0, 0, 0, 0] = value
    torch.save({"model": state}, folder / "w.pth")
    reason = r"w\.pth: contains values that are not finite numbers, in engines\.w0_5\.stem\.conv\.weight"
    for work in (
        lambda: small_search(weights=folder / "w.pth"),
        lambda: train(api.adapt, api.ADAPTATION, weights=folder / "w.pth"),
        lambda: api.extract("smallest", supernet="starter", weights=folder / "w.pth"),
    ):
        with pytest.raises(InputError, match=reason):
            work()
    assert not (folder / "subnet.json").exists()


def test_a_subnet_whose_outputs_are_not_finite_is_neither_chosen_nor_written(folder):
    """Finite weights whose products overflow give no top-1 either: extraction with data ends without a file."""
    supernet = Supernet(find_space("starter"), 10, seed=1)
    with torch.no_grad():
        supernet.engine(0.5).classifier.weight.fill_(3e38)
    write_state(folder / "w.safetensors", supernet.state_dict())
    with pytest.raises(DivergedError, match="outputs of the network are not finite"):
        api.extract("smallest", supernet="starter", weights=folder / "w.safetensors", data="digits")
    assert not (folder / "subnet.json").exists()
