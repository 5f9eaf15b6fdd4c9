"""Data sets: the bundled digits, and folders of images."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from natdeploy.errors import InputError
from natdeploy.io import image_inspection, image_sources
from natdeploy.io.dataset_names import resolve_dataset
from natdeploy.io.datasets import load_classes, load_task
from natdeploy.testing.fakes import RecordingReporter, Step

GREYS = {"cat": 40, "dog": 120, "eel": 200}


def save(path, grey, *, size=(20, 20)):
    """Write an image of one grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path)


def make_folder(root, counts, split=""):
    """Write so many images of each class, each of a grey of its own, near that of its class."""
    for name, count in counts.items():
        (root / split / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            save(root / split / name / f"{number:03}.png", GREYS[name] + number)
    return root


def greys(images):
    """Return the grey of each image."""
    return images.images[:, 0, 0, 0].tolist()


def splits(task):
    """Return the splits of a task, by name."""
    return {"train": task.train, "validation": task.validation, "test": task.test}


@pytest.fixture(scope="module")
def digits():
    """The bundled digits."""
    return load_task("digits", 32)


def test_digits_are_real_and_whole(digits):
    """All 1,797 images are there, a fifth for testing and a quarter of the rest for validation, ten classes in each."""
    sizes = {name: len(split) for name, split in splits(digits).items()}
    assert sum(sizes.values()) == 1797
    assert sizes["test"] == pytest.approx(1797 * 0.2, abs=5)
    assert sizes["validation"] == pytest.approx((1797 - sizes["test"]) * 0.25, abs=5)
    assert digits.classes == tuple("0123456789")
    assert not digits.flip
    for split in splits(digits).values():
        shares = torch.bincount(split.labels, minlength=10) / len(split)
        assert (shares - 0.1).abs().max() < 0.015
        assert split.images.shape[1:] == (3, 8, 8)
        assert split.images.max() == 255


def test_digits_are_split_without_overlap(digits):
    """No image is in two splits, and together they are scikit-learn's."""
    from sklearn.datasets import load_digits

    seen = [image.tobytes() for split in splits(digits).values() for image in split.images[:, 0].numpy()]
    whole = (load_digits().images * (255 / 16)).round().astype(np.uint8)
    assert sorted(seen) == sorted(image.tobytes() for image in whole)


def test_digits_are_the_same_on_every_call(digits):
    """Splits do not change from one call to the next."""
    again = load_task("digits", 48)
    for name, split in splits(again).items():
        assert torch.equal(split.images, splits(digits)[name].images)
        assert torch.equal(split.labels, splits(digits)[name].labels)
    assert (again.mean, again.std) == (digits.mean, digits.std)


def test_statistics_are_those_of_the_train_images_alone(digits):
    """Normalized train images have mean 0 and deviation 1."""
    x = digits.prepare(digits.train.images, 8)
    assert abs(float(x.mean())) < 1e-4
    assert float(x.std()) == pytest.approx(1, abs=1e-4)


def test_train_and_test_folders(tmp_path):
    """Test images are those of `test`; validation is a quarter of each class of `train`, and nothing else."""
    make_folder(tmp_path, {"cat": 8, "dog": 12}, "train")
    make_folder(tmp_path, {"cat": 3, "dog": 5}, "test")
    task = load_task(str(tmp_path), 16)
    assert task.classes == ("cat", "dog")
    assert task.flip
    assert task.test.labels.tolist() == [0] * 3 + [1] * 5
    assert sorted(greys(task.test)) == [40, 41, 42, *range(120, 125)]
    assert torch.bincount(task.validation.labels).tolist() == [2, 3]
    assert sorted(greys(task.train) + greys(task.validation)) == [*range(40, 48), *range(120, 132)]
    assert task.train.images.shape == (15, 3, 16, 16)


def test_validation_images_of_large_sets_are_capped(tmp_path, monkeypatch):
    """Of more train images than four times the cap, validation takes the cap, of each class its share."""
    make_folder(tmp_path, {"cat": 12, "dog": 24}, "train")
    make_folder(tmp_path, {"cat": 2, "dog": 2}, "test")
    assert image_sources._VALIDATION_IMAGES == 10_000
    assert torch.bincount(load_task(str(tmp_path), 16).validation.labels).tolist() == [3, 6]
    monkeypatch.setattr(image_sources, "_VALIDATION_IMAGES", 6)
    task = load_task(str(tmp_path), 16)
    assert torch.bincount(task.validation.labels).tolist() == [2, 4]
    assert torch.bincount(task.train.labels).tolist() == [10, 20]


@pytest.mark.parametrize("split", ["", "train"])
def test_folders_without_a_test_split(tmp_path, split):
    """Without `test`, a fifth of each class is taken for testing, disjoint from all else, the same on every call."""
    make_folder(tmp_path, {"cat": 10, "dog": 20}, split)
    task, again = load_task(str(tmp_path), 16), load_task(str(tmp_path), 16)
    assert torch.bincount(task.test.labels).tolist() == [2, 4]
    assert torch.bincount(task.validation.labels).tolist() == [2, 4]
    everything = greys(task.train) + greys(task.validation) + greys(task.test)
    assert sorted(everything) == [*range(40, 50), *range(120, 140)]
    assert [greys(s) for s in splits(task).values()] == [greys(s) for s in splits(again).values()]


def test_labels_stay_with_their_images(tmp_path):
    """In every split, an image has the label of the folder that it lay in."""
    make_folder(tmp_path, {"cat": 9, "dog": 9, "eel": 9})
    for split in splits(load_task(str(tmp_path), 16)).values():
        assert [grey // 80 for grey in greys(split)] == split.labels.tolist()


def test_a_class_of_one_image_is_trained_on(tmp_path):
    """A single image goes to train, of two one is tested."""
    make_folder(tmp_path, {"cat": 10, "dog": 1, "eel": 2})
    task = load_task(str(tmp_path), 16)
    assert torch.bincount(task.train.labels, minlength=3).tolist() == [6, 1, 1]
    assert torch.bincount(task.validation.labels, minlength=3).tolist() == [2, 0, 0]
    assert torch.bincount(task.test.labels, minlength=3).tolist() == [2, 0, 1]


def test_classes_that_a_split_lacks_are_told(tmp_path):
    """A class too small for every split is named, once for each that it is missing from; larger ones are not."""
    make_folder(tmp_path, {"cat": 12, "dog": 1, "eel": 2})
    reporter = RecordingReporter()
    load_task(str(tmp_path), 20, reporter=reporter)
    assert reporter.warnings == [
        "the validation split has no image of dog, eel",
        "the test split has no image of dog",
    ]


def test_too_few_images_to_split_are_refused(tmp_path):
    """One image of each class leaves nothing to test on."""
    make_folder(tmp_path, {"cat": 1, "dog": 1})
    with pytest.raises(InputError, match="no image is left for the validation split"):
        load_task(str(tmp_path), 16)


def test_a_test_folder_may_lack_a_class(tmp_path):
    """A class of `train` that `test` does not show is accepted, one that `train` does not show is refused."""
    make_folder(tmp_path, {"cat": 4, "dog": 4, "eel": 4}, "train")
    make_folder(tmp_path, {"cat": 2, "eel": 2}, "test")
    assert load_task(str(tmp_path), 16).test.labels.tolist() == [0, 0, 2, 2]
    (tmp_path / "test" / "fox").mkdir()
    with pytest.raises(InputError, match="test: class 'fox' has no train images"):
        load_task(str(tmp_path), 16)


@pytest.mark.parametrize("name", ["data", "test"])
def test_an_empty_class_is_refused(tmp_path, name):
    """A class without an image is refused by name, whatever the folder around it is called."""
    root = make_folder(tmp_path / name, {"cat": 4, "dog": 4})
    (root / "empty").mkdir()
    (root / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match=r"empty: holds no image \(known suffixes: .*\.png"):
        load_task(str(root), 16)


def test_a_test_folder_without_images_is_refused(tmp_path):
    """Empty classes are accepted for testing, but not all of them."""
    make_folder(tmp_path, {"cat": 4, "dog": 4}, "train")
    make_folder(tmp_path, {"cat": 0, "dog": 0}, "test")
    with pytest.raises(InputError, match="test: holds no image"):
        load_task(str(tmp_path), 16)


@pytest.mark.parametrize(("counts", "found"), [({}, "no folder"), ({"cat": 4}, "cat/ alone")])
def test_fewer_than_two_classes_are_refused(tmp_path, counts, found):
    """An empty folder, and one of a single class, are refused with the layout that is expected."""
    make_folder(tmp_path, counts)
    (tmp_path / ".hidden").mkdir()
    with pytest.raises(InputError, match=f"at least two classes, but contains {found}") as caught:
        load_task(str(tmp_path), 16)
    assert "FOLDER/train/CLASS/IMAGE" in caught.value.hint


def test_an_unknown_name_is_refused(tmp_path):
    """What is neither a known name nor a folder is refused with the known ones."""
    (tmp_path / "file").touch()
    for data in ("digit", str(tmp_path / "absent"), str(tmp_path / "file")):
        with pytest.raises(InputError, match=r"unknown data set .*known: digits"):
            load_task(data, 16)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tif", "ppm"])
@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_a_corrupt_image_is_refused(tmp_path, suffix, damage):
    """An image that is cut short, empty or something else is refused with its file's name."""
    root = make_folder(tmp_path, {"cat": 4, "dog": 4})
    path = root / "dog" / f"broken.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[: len(raw) // 3], "empty": b"", "text": b"not an image\n" * 20}[damage])
    with pytest.raises(InputError, match=rf"dog.broken\.{suffix}: not a readable image"):
        load_task(str(root), 16)


def test_other_files_are_passed_over(tmp_path):
    """Hidden files, files that are no images and folders named like images do no harm; deeper images count."""
    root = make_folder(tmp_path, {"cat": 4, "dog": 4})
    (root / "cat" / "._000.png").write_bytes(b"resource fork")
    (root / "cat" / "notes.txt").write_text("notes")
    (root / "cat" / "more.png").mkdir()
    save(root / "cat" / "more.png" / "deep.PNG", 60)
    task = load_task(str(root), 16)
    assert sum(60 in greys(split) for split in splits(task).values()) == 1
    assert sum(len(split) for split in splits(task).values()) == 9


def image_of_mode(mode):
    """Return an image whose left half is dark grey, 64, and whose right half is light, 192."""
    plain = np.full((20, 20), 64, dtype=np.uint8)
    plain[:, 10:] = 192
    grey = Image.fromarray(plain)
    if mode == "16-bit":
        return Image.fromarray(plain.astype(np.uint16) * 256)
    if mode == "palette with transparency":
        image = grey.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE)
        image.info["transparency"] = bytes([255] * 256)
        return image
    return grey.convert(mode)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "16-bit", "palette with transparency"])
def test_images_of_every_mode_become_rgb(tmp_path, mode):
    """Grey, 16-bit grey, palette and transparent images keep their brightness in three channels."""
    root = make_folder(tmp_path, {"cat": 5, "dog": 5})
    for path in (root / "dog").iterdir():
        image_of_mode(mode).save(path)
    for split in splits(load_task(str(root), 20)).values():
        dogs = split.images[split.labels == 1].int()
        assert ((dogs[:, :, 10, 2] - 64).abs() <= 4).all()
        assert ((dogs[:, :, 10, 17] - 192).abs() <= 4).all()


def test_images_are_cropped_to_their_middle(tmp_path):
    """The short side is resized, the long one cropped: the middle of a wide or high image is what remains."""
    root = make_folder(tmp_path, {"cat": 4, "dog": 4})
    for path in (root / "dog").iterdir():
        image = Image.new("RGB", (60, 20), (0, 0, 0))
        image.paste((250, 250, 250), (20, 0, 40, 20))
        image.save(path)
    for path in (root / "cat").iterdir():
        image = Image.new("RGB", (20, 60), (0, 0, 0))
        image.paste((250, 250, 250), (0, 20, 20, 40))
        image.save(path)
    train = load_task(str(root), 10).train
    assert train.images.shape[1:] == (3, 10, 10)
    assert train.images[:, :, 1:-1, 1:-1].min() > 225


def colourful_folder(root):
    """Write three classes of 10 noisy images, with names of any kind."""
    rng = np.random.default_rng(0)
    for name in ("a cat", "größe", "猫"):
        (root / name).mkdir(parents=True)
        for number in range(10):
            noise = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / name / f"no {number} ñ.jpg")
    return root


def test_images_that_do_not_fit_into_memory_stay_files(tmp_path):
    """With little memory nothing is kept, and the task is the same to the last bit."""
    colourful_folder(tmp_path)
    kept, unread = load_task(str(tmp_path), 16), load_task(str(tmp_path), 16, memory_bytes=10_000)
    assert (kept.mean, kept.std, kept.classes) == (unread.mean, unread.std, unread.classes)
    for name, split in splits(kept).items():
        other = splits(unread)[name]
        assert isinstance(split.images, torch.Tensor)
        assert not isinstance(other.images, torch.Tensor)
        assert torch.equal(split.images, other.to_tensor())
        assert torch.equal(split.labels, other.labels)


def test_memory_is_taken_up_to_what_was_given(tmp_path):
    """As many bytes as all images take are enough, one less is not."""
    colourful_folder(tmp_path)
    whole = 30 * 3 * 16 * 16
    assert isinstance(load_task(str(tmp_path), 16, memory_bytes=whole).test.images, torch.Tensor)
    assert not isinstance(load_task(str(tmp_path), 16, memory_bytes=whole - 1).test.images, torch.Tensor)


def test_a_damaged_file_that_was_left_unread_is_named_when_it_is_wanted(tmp_path):
    """The error of a file that stays a file names it as well."""
    for path in colourful_folder(tmp_path).rglob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"no \d ñ\.jpg: not a readable image"):
        load_task(str(tmp_path), 16, memory_bytes=0)


def test_the_reading_of_many_images_is_told(tmp_path, monkeypatch):
    """Progress runs up to the number of images; of few images nothing is said."""
    colourful_folder(tmp_path)
    reporter = RecordingReporter()
    load_task(str(tmp_path), 16, reporter=reporter)
    assert not reporter.steps
    monkeypatch.setattr(image_inspection, "_MANY", 30)
    load_task(str(tmp_path), 16, reporter=reporter)
    assert reporter.steps[-1] == Step(stage="reading images", done=30, total=30, detail="")
    counts = [step.done for step in reporter.steps]
    assert counts == sorted(counts)


def test_classes_are_told_without_reading_images(tmp_path):
    """Class names of a folder and of the digits, even where the images of the folder are no images."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    assert load_classes(str(tmp_path)) == ("cat", "dog")
    assert load_classes("digits") == tuple("0123456789")


def test_names_of_images_may_be_in_an_old_encoding(tmp_path):
    """Files and classes whose names are not UTF-8 are read; the folder itself, which runs remember, is refused."""
    make_folder(tmp_path, {"cat": 4, "dog": 4})
    (tmp_path / "dog").rename(tmp_path / "d\udcf6g")
    (tmp_path / "cat" / "000.png").rename(tmp_path / "cat" / "\udce4.png")
    task = load_task(str(tmp_path), 16)
    assert sorted(task.classes) == ["cat", "d\udcf6g"]
    assert {"cat/\udce4.png", "d\udcf6g/003.png"} <= {record.file for record in task.records}
    assert task.images_digest
    with pytest.raises(InputError, match="the path has bytes that are not UTF-8"):
        resolve_dataset(tmp_path / "d\udcf6g")


def test_names_hold_anywhere_and_folders_become_absolute(tmp_path, monkeypatch):
    """What a run remembers leads to the same data from any folder."""
    monkeypatch.chdir(tmp_path)
    assert resolve_dataset("digits") == "digits"
    assert resolve_dataset("cifar10") == "cifar10"
    (tmp_path / "images").mkdir()
    assert resolve_dataset("images") == str(tmp_path / "images")


@pytest.mark.parametrize(("given", "meant"), [("cifar-10", "cifar10"), ("flowers", "flowers102"), ("digit", "digits")])
def test_the_nearest_name_is_suggested(given, meant):
    """A mistyped name gets the one that was probably meant."""
    with pytest.raises(InputError, match="unknown data set") as caught:
        load_task(given, 16)
    assert caught.value.hint == f"did you mean '{meant}'?"


def test_too_few_images_say_what_they_need(tmp_path):
    """The hint tells how many images a class needs."""
    make_folder(tmp_path, {"cat": 1, "dog": 1})
    with pytest.raises(InputError) as caught:
        load_task(str(tmp_path), 16)
    assert caught.value.hint == "a class needs three images, or two beside a test folder"


def test_a_broken_link_among_the_images_is_named(tmp_path):
    """A link that leads nowhere is an error, not an image less."""
    make_folder(tmp_path, {"cat": 4, "dog": 4})
    (tmp_path / "dog" / "link.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"dog.link\.png: not a readable image: it is a link to"):
        load_task(str(tmp_path), 16)


def test_linked_images_and_classes_are_read(tmp_path):
    """Links to images and to folders of classes are as good as what they lead to."""
    make_folder(tmp_path / "store", {"cat": 4, "dog": 4})
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "cat").symlink_to(tmp_path / "store" / "cat")
    (tmp_path / "linked" / "dog").mkdir()
    for path in (tmp_path / "store" / "dog").iterdir():
        (tmp_path / "linked" / "dog" / path.name).symlink_to(path)
    linked, store = (load_task(str(tmp_path / name), 16) for name in ("linked", "store"))
    assert [greys(split) for split in splits(linked).values()] == [greys(split) for split in splits(store).values()]


@pytest.mark.parametrize("place", ["", "dog"])
def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch, place):
    """A folder without permission is refused with its name and the system's reason."""
    make_folder(tmp_path, {"cat": 4, "dog": 4})
    forbidden, scandir = str(tmp_path / place) if place else str(tmp_path), os.scandir

    def refuse(path):
        if str(path) == forbidden:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", lambda path: [entry.name for entry in refuse(path)])
    with pytest.raises(InputError, match=f"{forbidden}: cannot be read: Permission denied$"):
        load_task(str(tmp_path), 16)
