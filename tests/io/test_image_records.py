"""Which images a run has, and what becomes of a folder that changed since."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from natdeploy.errors import InputError
from natdeploy.io.image_records import read_image_records, write_image_records
from natdeploy.io.run_images import load_run_classes, load_run_task
from natdeploy.io.runs import RunFolder
from natdeploy.supernet.images import ImageFiles
from natdeploy.testing.fakes import RecordingReporter


def make_folder(root, count=9, *, seed=0):
    """Write so many images of noise of each of two classes, and return the folder."""
    rng = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / name / f"{number:02}.png")
    return root


@pytest.fixture(params=["flat", "splits"])
def images(request, tmp_path):
    """A folder of images, with and without folders of splits."""
    root = tmp_path / "images"
    if request.param == "flat":
        return make_folder(root)
    make_folder(root / "train")
    make_folder(root / "Test", 3, seed=1)
    return root


@pytest.fixture
def run(tmp_path, images):
    """A run that has recorded the images."""
    folder = RunFolder.create(tmp_path / "run", {})
    write_image_records(folder.path, load(folder, images)[0].records)
    return folder


def load(run, folder):
    """Load the task of a run, and return it with what was told."""
    reporter = RecordingReporter()
    return load_run_task(run, str(folder), 16, reporter), reporter


def same(first, second):
    """Tell whether two tasks have the same images in the same splits."""
    pairs = [(getattr(first, split), getattr(second, split)) for split in ("train", "validation", "test")]
    return all(torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) for a, b in pairs)


def first_file(images):
    """Return an image of the folder."""
    return min(images.rglob("*.png"))


def test_records_say_what_the_images_are(run, images):
    """Every image is recorded once, with its split, class, size and digest, and read back alike."""
    records = read_image_records(run.path)
    assert sorted(record.file for record in records) == sorted(
        path.relative_to(images).as_posix() for path in images.rglob("*.png")
    )
    for record in records:
        assert record.size_bytes == (images / record.file).stat().st_size
        assert f"{record.label}/" in record.file
        assert len(record.digest) == 16
    assert {record.split for record in records} == {"train", "validation", "test"}
    assert load(run, images)[0].records == records


def test_an_unchanged_folder_gives_the_same_task_wherever_it_is(run, images, tmp_path):
    """Nothing is told of a folder that is as it was, nor of a copy in another place."""
    before, reporter = load(run, images)
    shutil.copytree(images, tmp_path / "copy")
    after, again = load(run, tmp_path / "copy")
    assert same(before, after)
    assert not reporter.warnings
    assert not again.warnings
    assert (before.mean, before.std, before.classes) == (after.mean, after.std, after.classes)


def test_images_that_are_new_are_told_and_not_used(run, images):
    """A folder that grew gives the images and splits that the run began with."""
    before = load(run, images)[0]
    place = first_file(images).parent
    for number in range(5):
        Image.new("RGB", (16, 16), (number,) * 3).save(place / f"0{number}-new.png")
    after, reporter = load(run, images)
    assert same(before, after)
    assert len(reporter.warnings) == 1
    assert "5 images are new (" in reporter.warnings[0]
    assert "00-new.png" in reporter.warnings[0]


def test_a_new_class_is_told_and_not_used(tmp_path):
    """A class that came later does not become a class of the run."""
    images = make_folder(tmp_path / "images")
    run = RunFolder.create(tmp_path / "run", {})
    write_image_records(run.path, load(run, images)[0].records)
    (images / "ant").mkdir()
    Image.new("RGB", (16, 16)).save(images / "ant" / "1.png")
    task, reporter = load(run, images)
    assert task.classes == ("cat", "dog")
    assert load_run_classes(run, str(images), RecordingReporter()) == ("cat", "dog")
    assert "1 image is new (ant/1.png)" in reporter.warnings[0]


def rename(path):
    """Give an image another name."""
    path.rename(path.with_name("renamed.png"))


def append(path):
    """Make a file longer."""
    path.write_bytes(path.read_bytes() + b"\0")


def repaint(path):
    """Change the content of a file, and keep its size."""
    content = bytearray(path.read_bytes())
    image = Image.new("RGB", (16, 16), 77)
    image.save(path)
    path.write_bytes(path.read_bytes() + bytes(len(content) - path.stat().st_size))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.unlink(), r"1 image is missing \({}\)$"),
        (rename, r"1 image is missing \({}\); 1 image is new \(.*renamed\.png\)$"),
        (append, r"1 image has changed \({}\)$"),
        (repaint, r"1 image has changed \({}\)$"),
    ],
    ids=["removed", "renamed", "longer", "repainted"],
)
def test_images_that_are_missing_or_have_changed_are_refused(run, images, change, said):
    """The message names the difference, and the hint what to do."""
    path = first_file(images)
    change(path)
    name = path.relative_to(images).as_posix()
    with pytest.raises(InputError, match="not the images that the run began with: " + said.format(name)) as caught:
        load(run, images)
    assert "--data" in caught.value.hint


def test_many_differences_are_counted(run, images):
    """Of many differences some are named."""
    for path in sorted(images.rglob("*.png"))[:8]:
        path.unlink()
    with pytest.raises(InputError, match=r"8 images are missing \(([^,]*, ){4}[^,]* and 3 more\)"):
        load(run, images)


def test_a_folder_that_is_gone_can_be_named_again(run, images):
    """The hint names the option."""
    images.rename(images.with_name("moved"))
    with pytest.raises(InputError, match="the folder with the images of the run is not there") as caught:
        load(run, images)
    assert caught.value.hint == "if it has moved, name it with --data FOLDER"
    load(run, images.with_name("moved"))


def test_images_that_stay_files_are_not_read_again(run, images, monkeypatch):
    """Where images do not fit into memory, a run that goes on compares names and sizes, and starts at once."""
    monkeypatch.setattr("natdeploy.io.datasets.available_bytes", lambda: 0)
    monkeypatch.setattr("natdeploy.io.image_inspection.read_file", lambda path: pytest.fail(f"{path} was read"))
    task = load(run, images)[0]
    assert isinstance(task.train.images, ImageFiles)
    assert task.records == read_image_records(run.path)


def test_a_run_without_a_record_says_so(tmp_path):
    """A run of an earlier natdeploy goes on with the splits of today, with a warning."""
    images = make_folder(tmp_path / "images")
    run = RunFolder.create(tmp_path / "run", {})
    _, reporter = load(run, images)
    assert "it is not recorded which images the run began with" in reporter.warnings[0]


def test_known_data_sets_are_not_recorded(tmp_path):
    """Images of a known data set do not change, and nothing is said of them."""
    run = RunFolder.create(tmp_path / "run", {})
    task, reporter = load(run, "digits")
    assert task.records == ()
    assert not reporter.warnings


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"split": "train"', "line 2: not an image of a run: Expecting"),
        ('{"split": "trai", "label": "a", "file": "b", "size_bytes": 1, "digest": "c"}', "line 2: .*split"),
        ('{"split": "train", "label": "a", "file": "b", "size_bytes": "many", "digest": "c"}', "line 2: .*size_bytes"),
    ],
)
def test_a_damaged_record_is_refused_with_its_line(run, images, line, said):
    """File, line and reason are named."""
    path = run.path / "images.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[2:]]))
    with pytest.raises(InputError, match=rf"images\.jsonl, {said}"):
        load(run, images)
