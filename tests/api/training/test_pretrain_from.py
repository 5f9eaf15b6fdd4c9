"""`natdeploy pretrain --from`, with a small network of torchvision."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import MobileNetV2

from natdeploy import api, cli
from natdeploy.core.architecture import Architecture
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.io.supernet_weights import read_task
from natdeploy.supernet.checkpoints import read_state
from natdeploy.supernet.elastic import ElasticNetwork
from natdeploy.supernet.supernet import Supernet

SPACE = """
resolutions = [32, 48]

[stem]
channels = 32
activation = "relu6"

[fixed_block]
channels = 16
activation = "relu6"

[[stages]]
channels = 24
stride = 2
activation = "relu6"
kernels = [3]
expand_ratios = [3, 6]
depths = [1, 2]

[final_expand]
channels = 1280
activation = "relu6"
"""
OPTIONS = ["--supernet", "small.toml", "--data", "pictures", "--epochs", "1", "--batch-size", "8", "--samples", "1"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a space, the network that is its largest, and pictures in folders."""
    torch.manual_seed(0)
    network = MobileNetV2(num_classes=6, inverted_residual_setting=[[1, 16, 1, 1], [6, 24, 2, 2]])
    torch.save(network.state_dict(), tmp_path / "network.pth")
    (tmp_path / "small.toml").write_text(SPACE)
    rng = np.random.default_rng(0)
    for number in range(40):
        (tmp_path / "pictures" / str(number % 3)).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, size=(50, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / str(number % 3) / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_supernet_is_made_of_a_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The supernet has the classes of the network, and what is told of it is agreement, on pictures held out."""
    assert cli.run(["pretrain", "--from", "network.pth", *OPTIONS, "-o", "run", "--json"]) == 0
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert (document["top1_source"], document["epochs"]) == ("agreement", 1)
    assert "40 pictures, whose folders are no labels; 2 are held out" in told.err
    assert document["largest_top1"] in (0.0, 0.5, 1.0)
    space = api.find_space("small.toml")
    assert isinstance(space, SearchSpace)
    assert Supernet(space, 6).load_weights(folder / "run" / "supernet.safetensors")
    assert read_task(folder / "run" / "supernet.safetensors") == {
        "dataset": "network",
        "classes": list("012345"),
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    settings = (folder / "run" / "run.toml").read_text()
    assert f'original = "{folder / "network.pth"}"' in settings
    assert "lr = 0.02" in settings


def test_an_interrupted_run_resumes_to_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run resumed after its first epoch ends as one that was not interrupted; a changed network is refused."""
    settings = api.TrainingSettings(epochs=2, recipe=api.DISTILLATION.recipe, samples=0)
    given = {
        "data": "pictures",
        "supernet": "small.toml",
        "original": "network.pth",
        "settings": settings,
        "threads": 1,
    }
    whole = api.pretrain(output=Path("whole"), **given)
    from natdeploy.supernet.training import ElasticTrainer

    train = ElasticTrainer.train_epoch

    def stop_in_second(trainer: ElasticTrainer, number: int, *args: object, **named: object) -> float:
        if number == 1:
            raise KeyboardInterrupt
        return train(trainer, number, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(ElasticTrainer, "train_epoch", stop_in_second)
    with pytest.raises(Exception, match="interrupted"):
        api.pretrain(output=Path("stopped"), **given)
    monkeypatch.setattr(ElasticTrainer, "train_epoch", train)
    resumed = api.resume_pretraining(Path("stopped"))
    first, second = read_state(whole.weights), read_state(resumed.weights)
    assert all(torch.equal(first[name], second[name]) for name in first)
    Path("network.pth").write_bytes(Path("network.pth").read_bytes() + b"x")
    with pytest.raises(InputError, match=r"network\.pth: has changed since"):
        api.resume_pretraining(Path("stopped"))


def test_mixed_pictures_are_labelled_by_the_pretrained_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With CutMix the network is asked about the mixed pictures, not about the pictures of the folder."""
    asked: list[torch.Tensor] = []
    compute = ElasticNetwork.forward_stages

    def record(network: ElasticNetwork, images: torch.Tensor, architecture: Architecture) -> list[torch.Tensor]:
        if not any(parameter.requires_grad for parameter in network.parameters()):
            asked.append(images.clone())
        return compute(network, images, architecture)

    monkeypatch.setattr(ElasticNetwork, "forward_stages", record)
    first = []
    for cutmix in ("0", "1"):
        asked.clear()
        assert cli.run(["pretrain", "--from", "network.pth", *OPTIONS, "--cutmix", cutmix, "-o", cutmix]) == 0
        first.append(asked[0])
    differs = (first[0] != first[1]).any(dim=1)
    assert differs.any()
    assert not differs.all()


def test_what_does_not_fit_together_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Labels' options, data that is no folder, and too few pictures are each one error."""
    base = ["pretrain", "--from", "network.pth", *OPTIONS, "-o", "run"]
    for option in (["--hard-label-weight", "0.5"], ["--largest-only-epochs", "1"]):
        assert cli.run([*base, *option]) == 2
        assert f"so {option[0]} cannot be used with it" in capsys.readouterr().err
    at = base.index("pictures")
    assert cli.run([*base[:at], "digits", *base[at + 1 :]]) == 2
    assert "distilled on a folder of pictures" in capsys.readouterr().err
    Path("few").mkdir()
    Image.new("RGB", (8, 8)).save("few/one.png")
    assert cli.run([*base[:at], "few", *base[at + 1 :]]) == 2
    assert "holds 1 pictures; distillation needs 20 at least" in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_run_continues_from_the_weights_of_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With weights the network only teaches: they are kept up to a tiny step, and must have its classes."""
    settings = api.TrainingSettings(epochs=1, recipe=api.DISTILLATION.recipe, samples=0)
    first = api.pretrain(
        data="pictures", supernet="small.toml", original="network.pth", settings=settings, output=folder / "first"
    )
    given = ["pretrain", "--from", "network.pth", *OPTIONS, "--weights", str(first.weights)]
    assert cli.run([*given, "--lr", "1e-9", "--weight-decay", "0", "-o", "second"]) == 0
    before, after = read_state(first.weights), read_state(folder / "second" / "supernet.safetensors")
    weights = [name for name in before if name.endswith(".weight")]
    assert weights
    for name in weights:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-5)
    torch.save(
        MobileNetV2(num_classes=7, inverted_residual_setting=[[1, 16, 1, 1], [6, 24, 2, 2]]).state_dict(), "7.pth"
    )
    capsys.readouterr()
    assert cli.run([*given[:2], "7.pth", *given[3:], "-o", "third"]) == 2
    assert "supernet.safetensors: is for 6 classes" in capsys.readouterr().err
    assert not Path("third").exists()
