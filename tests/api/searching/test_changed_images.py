"""Asking a finished search again after its folder of images has changed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from natdeploy import api, cli
from natdeploy.errors import InputError
from natdeploy.supernet.checkpoints import read_state
from natdeploy.testing.fakes import RecordingReporter
from tests.support.small_search import BOARD, prepare, small_search


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api.SearchResult]:
    """A finished run on a folder of images."""
    images = tmp_path_factory.mktemp("data") / "images"
    rng = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green")):
        (images / name).mkdir(parents=True)
        for number in range(30):
            pixels = rng.integers(0, 150, size=(32, 32, 3), dtype=np.uint8)
            pixels[..., channel] += 60
            Image.fromarray(pixels).save(images / name / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        prepare(tmp_path_factory.mktemp("home"), patch)
        yield small_search(data=images, output=tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture
def run(finished: api.SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run; the current folder is empty, and `images` has a copy of its images."""
    shutil.copytree(Path(finished.run).parent / "first", tmp_path / "run")
    config = (tmp_path / "run" / "run.toml").read_text()
    data = next(line for line in config.splitlines() if line.startswith("data = ")).split('"')[1]
    shutil.copytree(data, tmp_path / "images")
    (tmp_path / "run" / "run.toml").write_text(config.replace(data, str(tmp_path / "images")))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def grow(images: Path) -> None:
    """Add images in front of the others, as the old splits would have been drawn anew."""
    for name in ("red", "green"):
        for number in range(5):
            Image.new("RGB", (32, 32), (number * 9, 40, 90)).save(images / name / f"0-new-{number}.png")


def test_a_folder_that_grew_is_asked_as_before(run: Path, finished: api.SearchResult) -> None:
    """Selection, extraction and report use the images and splits of the run, and tell which images are new."""
    grow(Path("images"))
    reporter = RecordingReporter()
    context = api.Context(reporter=reporter)
    again = api.search_from(run, goal=api.SearchGoal(devices=(BOARD,)), output=Path("again"), context=context)
    assert (again.chosen.genotype, again.chosen.top1) == (finished.chosen.genotype, finished.chosen.top1)
    extracted = api.extract_from_run(run, output=Path("row.json"), context=context)
    reported = api.report(run, context=context)
    assert reported.chosen.top1 == finished.chosen.top1
    states = [read_state(path) for path in (Path("again/subnet.safetensors"), run / "subnet.safetensors")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert extracted.validation_top1 is not None
    told = [line for line in reporter.warnings if "10 images are new" in line]
    assert len(told) == 3


def test_a_folder_that_lost_an_image_is_refused_by_all(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No command draws other splits without a word; each names the image."""
    Path("images/red/3.png").unlink()
    for arguments in (
        f"search --from {run} --device {BOARD} --output again",
        f"extract {run} --output row.json",
        f"report {run}",
        f"search --resume {run}",
    ):
        assert cli.run(arguments.split()) == 2
        said = capsys.readouterr().err
        assert "1 image is missing (red/3.png)" in said
        assert "--data" in said
    assert not Path("row.json").exists()


def test_a_folder_that_moved_is_named_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command takes the new place; the run remembers it once it was reported or resumed."""
    Path("images").rename("moved")
    assert cli.run(["extract", str(run), "--output", "row.json"]) == 2
    assert "if it has moved, name it with --data FOLDER" in capsys.readouterr().err
    assert cli.run(["extract", str(run), "--output", "row.json", "--data", "moved"]) == 0
    assert cli.run(["search", "--from", str(run), "--data", "moved", "--device", BOARD, "--output", "again"]) == 0
    assert cli.run(["report", str(run), "--data", "moved"]) == 0
    assert cli.run(["extract", str(run), "--output", "row.json"]) == 0


def test_a_run_cannot_be_moved_to_other_data(run: Path) -> None:
    """Another folder is compared with the record, and a known data set is no place of a folder."""
    shutil.copytree("images", "other")
    Path("other/red/1.png").write_bytes(Path("other/red/2.png").read_bytes())
    with pytest.raises(InputError, match="1 image has changed"):
        api.extract_from_run(run, data="other")
    with pytest.raises(InputError, match="only a folder that has moved can be named again"):
        api.extract_from_run(run, data="digits")
