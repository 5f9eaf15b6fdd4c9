"""Pretraining a supernet through the API."""

import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from natdeploy import api
from natdeploy.errors import InputError, InterruptedWorkError
from natdeploy.io.spaces import find_space
from natdeploy.journal import Journal
from natdeploy.supernet.checkpoints import read_state
from natdeploy.supernet.supernet import Supernet
from natdeploy.testing.fakes import RecordingReporter, Step

SMALL = {
    "epochs": 2,
    "largest_only_epochs": 1,
    "samples": 2,
    "seed": 4,
}
FIELDS = tuple(field.name for field in dataclasses.fields(api.TrainingSettings))
RECIPE = dataclasses.replace(api.PRETRAINING.recipe, batch_size=8)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three classes of 12 noisy pictures, each class of its own colour."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green", "blue")):
        (folder / name).mkdir()
        for number in range(12):
            pixels = rng.integers(0, 90, size=(32, 32, 3), dtype=np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def whole(images: Path, tmp_path_factory: pytest.TempPathFactory) -> api.TrainingResult:
    """Pretraining that nothing interrupts."""
    return pretrain(images, tmp_path_factory.mktemp("runs") / "whole")


def pretrain(images: Path, output: Path, **changes: object) -> api.TrainingResult:
    """Pretrain as little as can be."""
    given = {"threads": 1, **{name: value for name, value in changes.items() if name not in FIELDS}}
    small = api.TrainingSettings(
        **{"recipe": RECIPE, **SMALL, **{name: changes[name] for name in FIELDS if name in changes}}
    )
    space = api.SpaceSelector("starter", (32,))
    return api.pretrain(data=str(images), output=output, supernet=space, settings=small, **given)  # type: ignore[arg-type]


def test_pretraining_leaves_weights_that_a_supernet_loads(whole: api.TrainingResult) -> None:
    """The weight file holds the whole supernet, and the result tests the largest, the smallest and random subnets."""
    supernet = Supernet(find_space("starter").with_resolutions((32,)), 3, seed=9)
    assert supernet.load_weights(whole.weights)
    assert len(whole.random_top1) == 2
    assert all(0 <= value <= 1 for value in (whole.largest_top1, whole.smallest_top1, *whole.random_top1))
    assert whole.epochs == 2
    assert whole.seconds > 0


def test_pretraining_that_was_interrupted_resumes_to_the_same_weights(
    images: Path, whole: api.TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run stopped after its first epoch and resumed ends in weights equal to the last bit."""

    def stop_after_first(step: Step) -> None:
        if step.stage == "pretraining" and step.detail.startswith("epoch 1 of 2, loss"):
            raise KeyboardInterrupt

    with pytest.raises(InterruptedWorkError, match="interrupted") as stopped:
        pretrain(images, tmp_path / "run", context=api.Context(reporter=RecordingReporter(stop_after_first)))
    assert f"--resume {tmp_path / 'run'}" in (stopped.value.hint or "")
    resumed = api.resume_pretraining(tmp_path / "run")
    expected, found = read_state(whole.weights), read_state(resumed.weights)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (resumed.largest_top1, resumed.random_top1) == (whole.largest_top1, whole.random_top1)


def test_the_moving_average_is_what_is_written(images: Path, whole: api.TrainingResult, tmp_path: Path) -> None:
    """Without a moving average the weights are those of the last step, so they differ from the averaged ones."""
    plain = pretrain(images, tmp_path / "plain", recipe=dataclasses.replace(RECIPE, ema_decay=0.0))
    averaged, last = read_state(whole.weights), read_state(plain.weights)
    assert any(not torch.equal(averaged[name], last[name]) for name in last)


def test_what_a_pretraining_run_holds_is_checked(whole: api.TrainingResult, tmp_path: Path) -> None:
    """A damaged setting, a search's folder and a second run in one folder are refused, each named."""
    copy = tmp_path / "copy"
    shutil.copytree(whole.run, copy)
    settings = (copy / "run.toml").read_text()
    (copy / "run.toml").write_text(settings.replace("batch_size = 8", 'batch_size = "eight"'))
    with pytest.raises(InputError, match=r"run\.toml.*batch_size"):
        api.resume_pretraining(copy)
    (copy / "run.toml").write_text(settings.replace("epochs = 2", "epochs = 2\nplain_epochs = 1", 1))
    with pytest.raises(InputError, match=r"unknown key settings\.plain_epochs") as refused:
        api.resume_pretraining(copy)
    assert "start a new one" in str(refused.value.hint)
    (copy / "run.toml").write_text(settings.replace("[pretrain]", "[search]").replace("[pretrain.", "[search."))
    with pytest.raises(InputError, match=r"\[pretrain\] is missing"):
        api.resume_pretraining(copy)
    with pytest.raises(InputError, match="contains a run already"):
        api.pretrain(data="digits", output=whole.run)


def test_pretraining_goes_on_from_weights(images: Path, whole: api.TrainingResult, tmp_path: Path) -> None:
    """At next to no learning rate the weights stay those of the file, classifier included, and its hash is recorded."""
    still = dataclasses.replace(RECIPE, lr=1e-9)
    further = pretrain(images, tmp_path / "run", weights=whole.weights, epochs=1, recipe=still)
    before, after = read_state(whole.weights), read_state(further.weights)
    learned = [name for name in before if name.endswith("weight")]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in learned)
    assert hashlib.sha256(whole.weights.read_bytes()).hexdigest() in (further.run / "run.toml").read_text()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"largest_only_epochs": -1}, "largest-only-epochs is -1"),
        ({"samples": 0.5}, "samples is 0.5: it must be a whole number"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_written(
    images: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    """Each setting out of range is named, and no folder is left."""
    with pytest.raises(InputError, match=said):
        pretrain(images, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_every_epoch_is_journaled(whole: api.TrainingResult) -> None:
    """The journal tells loss and time of each epoch."""
    events = [event for event in Journal(whole.run / "journal.jsonl").events if event["event"] == "epoch"]
    assert [event["number"] for event in events] == [0, 1]
    assert all(event["loss"] > 0 and event["seconds"] > 0 for event in events)
