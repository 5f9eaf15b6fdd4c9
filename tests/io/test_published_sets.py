"""The published data sets by name, tiny ones in each set's own layout."""

import shutil

import pytest
import torch

from natdeploy.errors import InputError
from natdeploy.io.datasets import load_classes, load_task
from natdeploy.io.published_sets import PUBLISHED
from tests.support import tiny_sets


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder of the data sets."""
    monkeypatch.setenv("NATDEPLOY_DATA", str(tmp_path))
    return tmp_path


def greys(split):
    """Return the grey of the middle of each image."""
    pixels = split.to_tensor()
    return pixels[:, 0, pixels.shape[2] // 2, pixels.shape[3] // 2].tolist()


@pytest.mark.parametrize("memory_bytes", [None, 0])
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_set_is_read_by_its_name(root, monkeypatch, name, memory_bytes):
    """Each set is found in its folder; images keep their labels, train and validation are its train images alone."""
    tiny_sets.make(name, root / name, monkeypatch)
    task = load_task(name, 24, memory_bytes=memory_bytes)
    assert task.name == name
    assert len(task.classes) == (102 if name == "flowers102" else 3)
    assert len(task.test) == 9
    assert len(task.train) + len(task.validation) == 24
    assert torch.bincount(task.validation.labels).tolist() == [2, 2, 2]
    for split, test in ((task.train, False), (task.validation, False), (task.test, True)):
        known = [tiny_sets.known(grey) for grey in greys(split)]
        assert known == [(label, test) for label in split.labels.tolist()]
        size = tiny_sets.NATIVE.get(name, 24)
        assert split.images.shape[1:] == (3, size, size)


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "flowers102"])
def test_class_names_are_the_published_ones(root, monkeypatch, name):
    """Classes have the names that the set gives them, in the order of their indices."""
    tiny_sets.make(name, root / name, monkeypatch)
    assert [label.lower() for label in load_classes(name)] == list(tiny_sets.CLASSES)


def test_all_eleven_are_known_with_their_published_sizes():
    """Classes, train and test images are those that were published."""
    sizes = {name: (one.classes, one.train, one.test) for name, one in PUBLISHED.items()}
    assert sizes == {
        "cifar10": (10, 50_000, 10_000),
        "cifar100": (100, 50_000, 10_000),
        "cinic10": (10, 180_000, 90_000),
        "stl10": (10, 5_000, 8_000),
        "aircraft": (100, 6_667, 3_333),
        "cars": (196, 8_144, 8_041),
        "dtd": (47, 3_760, 1_880),
        "flowers102": (102, 2_040, 6_149),
        "food101": (101, 75_750, 25_250),
        "pets": (37, 3_680, 3_669),
        "imagenet": (1_000, 1_281_167, 50_000),
    }


def test_the_user_s_own_folder_holds_the_sets_by_default(tmp_path, monkeypatch):
    """Without NATDEPLOY_DATA they lie in `data` of the home folder."""
    monkeypatch.delenv("NATDEPLOY_DATA", raising=False)
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    tiny_sets.make("imagenet", tmp_path / "data" / "imagenet", monkeypatch)
    assert load_task("imagenet", 16).classes == tiny_sets.CLASSES


@pytest.mark.parametrize(
    ("name", "lost", "said"),
    [
        ("food101", "food-101/meta/test.json", "not Food-101 as published: .*test.json"),
        ("aircraft", "fgvc-aircraft-2013b/data/variants.txt", "not FGVC Aircraft as published"),
        ("cars", "stanford_cars/devkit/cars_meta.mat", "not Stanford Cars as published"),
        ("cifar10", "cifar-10-batches-py/data_batch_3", "as published: Dataset not found or corrupted$"),
        ("flowers102", "flowers-102/setid.mat", "as published: Dataset not found or corrupted$"),
        ("cinic10", "valid", "valid: cannot be read: No such file"),
    ],
)
def test_a_set_that_lacks_a_file_is_refused(root, monkeypatch, name, lost, said):
    """The error names the folder and the reason, the hint what to put there."""
    tiny_sets.make(name, root / name, monkeypatch)
    gone = root / name / lost
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(InputError, match=said) as caught:
        load_task(name, 16)
    assert caught.value.hint.startswith(f"get it from {PUBLISHED[name].source} and put {PUBLISHED[name].content}")
    assert str(root / name) in caught.value.hint


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("cars", "stanford_cars/devkit/cars_train_annos.mat"),
        ("pets", "oxford-iiit-pet/annotations/trainval.txt"),
        ("food101", "food-101/meta/train.json"),
        ("aircraft", "fgvc-aircraft-2013b/data/images_variant_test.txt"),
        ("dtd", "dtd/dtd/labels/val1.txt"),
        ("cifar100", "cifar-100-python/train"),
        ("stl10", "stl10_binary/test_y.bin"),
    ],
)
@pytest.mark.parametrize("content", [b"nonsense\n", b"\x00\xff\x80" * 100], ids=["text", "bytes"])
def test_a_set_with_a_damaged_list_is_refused(root, monkeypatch, name, damaged, content):
    """Lists and labels that cannot be read end in one error that names the set's folder."""
    tiny_sets.make(name, root / name, monkeypatch)
    (root / name / damaged).write_bytes(content)
    with pytest.raises(InputError, match=str(root / name)):
        load_task(name, 16)


def test_a_set_with_a_missing_image_is_refused(root, monkeypatch):
    """A listed image that is not there is named."""
    tiny_sets.make("pets", root / "pets", monkeypatch)
    gone = next((root / "pets").rglob("*.jpg"))
    gone.unlink()
    with pytest.raises(InputError, match=f"{gone.name}: not a readable image: no such file"):
        load_task("pets", 16)


def test_a_set_of_another_size_is_refused(root, monkeypatch):
    """A set that holds fewer images than were published is refused with both numbers."""
    tiny_sets.make("imagenet", root / "imagenet", monkeypatch)
    next((root / "imagenet" / "train").rglob("*.JPEG")).unlink()
    with pytest.raises(InputError, match=r"it contains 23 train images, but ImageNet .* has 24"):
        load_task("imagenet", 16)


def test_splits_of_different_classes_are_refused(root, monkeypatch):
    """A class that only one split has would shift the labels of the others: it is named."""
    tiny_sets.make("cinic10", root / "cinic10", monkeypatch)
    (root / "cinic10" / "valid" / "cat").rename(root / "cinic10" / "valid" / "cow")
    with pytest.raises(InputError, match="differ in their classes: cat"):
        load_task("cinic10", 16)


@pytest.mark.parametrize("name", PUBLISHED)
def test_images_are_prepared_as_published(root, monkeypatch, name):
    """Crop and interpolation are those of the paper's evaluation."""
    tiny_sets.make(name, root / name, monkeypatch)
    view = PUBLISHED[name].view
    cropped = {"stl10", "flowers102", "food101", "pets", "aircraft", "imagenet"}
    assert view.crop == (0.875 if name in cropped else None if name in {"cars", "dtd"} else 1.0)
    cubic = {"cifar10", "cifar100", "cinic10", "cars", "dtd", "imagenet"}
    assert load_task(name, 16).interpolation == ("bicubic" if name in cubic else "bilinear")
