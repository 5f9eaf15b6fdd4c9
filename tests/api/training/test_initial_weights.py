"""What a search begins with: packaged weights, a file, or random ones."""

import json
import tomllib
from pathlib import Path

import pytest
import torch

from natdeploy import api, cli
from natdeploy.core.architecture import largest
from natdeploy.errors import InputError
from natdeploy.io import supernet_weights
from natdeploy.io.spaces import find_space
from natdeploy.supernet.checkpoints import read_state, write_state
from natdeploy.supernet.supernet import Supernet
from natdeploy.testing.fakes import RecordingReporter
from tests.support.small_search import EFFORT, prepare, small_search
from tests.support.supernets import scramble

UNTRAINED = api.find_preset("quick", {**EFFORT, "warmup_epochs": 0, "iterations": 0})


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packaged weights of the starter, made for 12 classes; the current folder is empty."""
    folder = tmp_path / "packaged"
    monkeypatch.setattr(supernet_weights, "packaged_folder", lambda: folder)
    prepare(tmp_path / "home", monkeypatch)
    write_state(folder / "starter.safetensors", made(classes=12).state_dict())
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder / "starter.safetensors"


def made(classes: int, seed: int = 0) -> Supernet:
    """Return a supernet that no seed of a search gives."""
    supernet = Supernet(find_space("starter"), classes, seed=3)
    scramble(supernet, seed)
    return supernet


def recorded(run: Path) -> dict[str, object]:
    """Return the settings of a run."""
    settings: dict[str, object] = tomllib.loads((run / "run.toml").read_text())["search"]
    return settings


def stem_of(result: api.SearchResult) -> torch.Tensor:
    """Return the BatchNorm weights of the stem of the choice, which nothing but training changes."""
    return read_state(result.run / "subnet.safetensors")["stem.bn.weight"]


def test_packaged_weights_are_the_default_and_get_a_classifier_of_the_task(packaged: Path) -> None:
    """Without options the packaged weights are taken, recorded by word and hash, and answer for the task's classes."""
    result = small_search(preset=UNTRAINED, weights=None)
    expected = made(classes=12).engine(0.5).stem.bn
    assert expected is not None
    assert torch.equal(stem_of(result), expected.weight)
    assert len(read_state(result.run / "subnet.safetensors")["classifier.weight"]) == 10
    assert recorded(result.run)["weights"] == "packaged"
    assert recorded(result.run)["weights_sha256"] == [supernet_weights.compute_sha256(packaged)]


def test_from_scratch_begins_with_random_weights(packaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for, random weights are taken although there are packaged ones; beside a file that is a contradiction."""
    result = small_search(preset=UNTRAINED)
    assert torch.equal(stem_of(result), torch.ones(8))
    assert (recorded(result.run)["weights"], recorded(result.run)["weights_sha256"]) == ("", [])
    assert cli.run(["search", "--from-scratch", "--weights", str(packaged)]) == 2
    assert "so it cannot be used with --weights" in capsys.readouterr().err


def test_without_a_packaged_file_weights_are_random(packaged: Path) -> None:
    """A supernet that has no packaged weights begins with random ones, as ever."""
    packaged.unlink()
    result = small_search(preset=UNTRAINED, weights=None)
    assert torch.equal(stem_of(result), torch.ones(8))
    assert recorded(result.run)["weights"] == ""


def test_packaged_weights_that_changed_are_an_error_until_there_is_a_checkpoint(
    packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has trained nothing yet needs the very file that it began with; later its checkpoint has it all."""
    trained = small_search(output=Path("trained"), weights=None)
    begun = small_search(preset=UNTRAINED, output=Path("begun"), weights=None)
    write_state(packaged, made(classes=12, seed=1).state_dict())
    assert api.extract_from_run(trained.run, row=0, output=Path("zero.json")).weights.exists()
    assert api.resume(trained.run).chosen.top1 == trained.chosen.top1
    with pytest.raises(InputError, match=r"starter\.safetensors: its sha256 begins with .*run\.toml"):
        api.resume(begun.run)


def test_a_subnet_is_extracted_from_packaged_weights(packaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`extract` takes the packaged weights where none are given, and says when there are none, or for other classes."""
    Path("largest.json").write_text(json.dumps(largest(find_space("starter")).to_json()))
    extracted = api.extract("largest.json", supernet="starter", output=Path("out.json"))
    subnet, network = api.load_subnet(extracted.subnet)
    assert (subnet.classes, network.classes) == (12, 12)
    with pytest.raises(InputError, match="digits: has 10 classes, the weights are for 12"):
        api.extract("largest.json", supernet="starter", data="digits")
    packaged.unlink()
    assert cli.run(["extract", "largest.json", "--supernet", "starter"]) == 2
    assert "no weights are packaged for supernet starter" in capsys.readouterr().err


def test_a_classifier_with_a_task_is_ready_to_deploy(packaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bare architecture stays random, but is told the command that gives it the packaged classifier with its task."""
    task = {"dataset": "shapes", "classes": [f"shape {n}" for n in range(12)], "mean": [0.5] * 3, "std": [0.2] * 3}
    write_state(packaged, made(classes=12).state_dict(), {"task": json.dumps(task)})
    reporter = RecordingReporter()
    source = api.SubnetSource("smallest", supernet="starter")
    assert api.load_subnet(source, context=api.Context(reporter=reporter))[0].task is None
    told = reporter.said[-1]
    assert "random ones: good to measure, useless to deploy; natdeploy extract smallest --supernet starter " in told
    assert "of a classifier for shapes" in told
    assert cli.run(["extract", "smallest", "--supernet", "starter", "-o", "out.json"]) == 0
    subnet, network = api.load_subnet("out.json")
    assert (subnet.task, network.classes) == (task, 12)
    write_state(packaged, made(classes=11).state_dict(), {"task": json.dumps(task)})
    assert cli.run(["extract", "smallest", "--supernet", "starter", "-o", "out.json"]) == 2
    assert "its task has 12 classes, its classifier 11" in capsys.readouterr().err


def test_images_of_the_task_are_normalized_as_the_weights_were_trained(packaged: Path) -> None:
    """A subnet extracted with data has the normalization of the weights; data of other classes are refused by name."""
    digits = {"dataset": "mnist", "classes": [str(n) for n in range(10)], "mean": [0.4] * 3, "std": [0.3] * 3}
    write_state(packaged, made(classes=10).state_dict(), {"task": json.dumps(digits)})
    extracted = api.extract("smallest", supernet="starter", data="digits", output=Path("out.json"))
    task = api.load_subnet(extracted.subnet)[0].task
    assert task == {**digits, "dataset": "digits"}
    assert extracted.validation_top1 is not None
    other = {**digits, "classes": [f"number {n}" for n in range(10)]}
    write_state(packaged, made(classes=10).state_dict(), {"task": json.dumps(other)})
    with pytest.raises(InputError, match="digits: has a class '0' where the weights have 'number 0'"):
        api.extract("smallest", supernet="starter", data="digits")
