"""Which supernet a command begins with where none is named."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from natdeploy import api
from natdeploy.api import default_supernet
from natdeploy.api.default_supernet import choose_space
from natdeploy.errors import InputError
from natdeploy.io.spaces import SpaceSelector
from natdeploy.supernet.checkpoints import write_state
from natdeploy.testing.fakes import RecordingReporter


@pytest.fixture(autouse=True)
def packaged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The supernets that have packaged weights: both."""
    names = ["starter", "lite"]
    monkeypatch.setattr(default_supernet, "has_packaged", lambda space: space.name in names)
    return names


def write_images(folder: Path, side: int) -> str:
    """Write an image for each of two classes, and return the folder."""
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (side, side + 9)).save(folder / name / "image.png")
    return str(folder)


@pytest.mark.parametrize(("side", "name"), [(64, "starter"), (65, "lite")])
def test_it_follows_from_the_images(tmp_path: Path, side: int, name: str) -> None:
    """Above a short side of 64 pixels it is `lite`; the sentence tells the size and how to choose another."""
    space, reason = choose_space(None, write_images(tmp_path, side))
    assert space.name == name
    assert f"short side of its images is {side} pixels, so the supernet is {name}; --supernet chooses another" in reason


def test_a_named_one_wins(tmp_path: Path) -> None:
    """What the user names is taken without looking at the images, and without a word; a part of it may be asked for."""
    named, nothing = choose_space("starter", str(tmp_path / "none"))
    assert (named.name, nothing) == ("starter", "")
    space, reason = choose_space(SpaceSelector(resolutions=(128, 160)), "flowers102")
    assert (space.name, space.resolutions) == ("lite", (128, 160))
    assert reason == "flowers102: holds photographs, so the supernet is lite; --supernet chooses another"


def test_without_packaged_weights_or_images_it_is_the_starter(tmp_path: Path, packaged: list[str]) -> None:
    """Photographs get a supernet that has packaged weights."""
    assert choose_space(None)[0].name == "starter"
    packaged.remove("lite")
    space, reason = choose_space(None, str(tmp_path / "none"))
    assert (space.name, reason) == ("starter", "")


def test_weights_bring_their_supernet(tmp_path: Path) -> None:
    """A file that says what it was trained as decides before the images do; one that says nothing known does not."""
    data, weights = write_images(tmp_path / "photographs", 90), tmp_path / "w.safetensors"
    write_state(weights, {"a": torch.ones(1)}, {"training": json.dumps({"supernet": "starter"})})
    space, reason = choose_space(None, data, weights)
    assert (space.name, reason) == ("starter", f"{weights}: the weights are of supernet starter")
    assert choose_space("lite", data, weights)[0].name == "lite"
    for text in ("no json", "[]", json.dumps({"supernet": "no/such.toml"}), json.dumps({"supernet": 3})):
        write_state(weights, {"a": torch.ones(1)}, {"training": text})
        assert choose_space(None, data, weights)[0].name == "lite"
    assert choose_space(None, data, "released")[0].name == "lite"


def test_search_and_adapt_tell_the_choice(tmp_path: Path) -> None:
    """Both say it before anything is read or trained."""
    data, missing = write_images(tmp_path / "photographs", 90), tmp_path / "missing.safetensors"
    reporter = RecordingReporter()
    context = api.Context(reporter=reporter)
    with pytest.raises(InputError, match="missing"):
        api.search(data=data, weights=missing, context=context)
    with pytest.raises(InputError, match="missing"):
        api.adapt(data=data, weights=missing, output=tmp_path / "run", context=context)
    assert ["so the supernet is lite" in said for said in reporter.said] == [True, True]
