"""The one pass over all images: damaged ones, copies, and images without content."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from natdeploy.errors import InputError
from natdeploy.io import image_inspection
from natdeploy.io.datasets import load_pictures, load_task
from natdeploy.testing.fakes import RecordingReporter


def make_folder(root, count=8, *, split="", seed=0):
    """Write so many images of noise of each of two classes."""
    rng = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (root / split / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / split / name / f"{number}.png")
    return root


def warnings_of(folder):
    """Return what is warned of when the images of a folder are loaded."""
    reporter = RecordingReporter()
    load_task(str(folder), 16, reporter=reporter)
    return reporter.warnings


def damage(path, how):
    """Damage an image file."""
    content = path.read_bytes()
    path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"<html>not found</html>"}[how])


@pytest.mark.parametrize("how", ["cut", "empty", "text"])
@pytest.mark.parametrize("memory_bytes", [None, 1])
def test_all_damaged_images_are_named_at_once(tmp_path, memory_bytes, how):
    """One message names every damaged image of every split before any work, also where images stay files."""
    make_folder(tmp_path, split="train")
    make_folder(tmp_path, split="test", seed=1)
    broken = ["test/dog/3.png", "train/cat/0.png", "train/dog/7.png"]
    for name in broken:
        damage(tmp_path / name, how)
    with pytest.raises(InputError, match=r"^3 images cannot be read:") as caught:
        load_task(str(tmp_path), 16, memory_bytes=memory_bytes)
    lines = caught.value.message.splitlines()[1:]
    assert [line.split(": not a readable image: ")[0].strip() for line in lines] == [
        str(tmp_path / name) for name in broken
    ]
    assert caught.value.hint == "replace or remove them"


def test_many_damaged_images_are_counted(tmp_path, monkeypatch):
    """Of more damaged images than a message lists, the others are counted."""
    monkeypatch.setattr(image_inspection, "_LISTED", 3)
    make_folder(tmp_path, 3)
    for path in tmp_path.rglob("*.png"):
        damage(path, "empty")
    with pytest.raises(InputError, match=r"^6 images cannot be read:(\n  .*){3}\n  and 3 more$"):
        load_task(str(tmp_path), 16)


def test_damaged_pictures_without_labels_are_named_at_once(tmp_path):
    """Pictures for distillation are checked in the same way."""
    make_folder(tmp_path, 12)
    damage(tmp_path / "cat" / "1.png", "cut")
    damage(tmp_path / "dog" / "2.png", "text")
    normalization = ((0.5,) * 3, (0.5,) * 3)
    with pytest.raises(InputError, match=r"^2 images cannot be read:\n.*1\.png.*\n.*2\.png"):
        load_pictures(tmp_path, 16, classes=("a", "b"), normalization=normalization)


def test_each_image_is_read_once(tmp_path, monkeypatch):
    """Checks cost no second decoding."""
    make_folder(tmp_path)
    read, opened = image_inspection.read_file, []
    monkeypatch.setattr(image_inspection, "read_file", lambda path: opened.append(path) or read(path))
    task = load_task(str(tmp_path), 16)
    assert sorted(opened) == sorted(map(str, tmp_path.rglob("*.png")))
    assert len(task.train) + len(task.validation) + len(task.test) == 16


def test_sound_images_are_not_warned_of(tmp_path):
    """Different images in their own classes and splits are nothing to speak of."""
    make_folder(tmp_path, split="train")
    make_folder(tmp_path, split="test", seed=1)
    assert warnings_of(tmp_path) == []


@pytest.mark.parametrize(("split", "suffix"), [("test", "png"), ("test", "bmp"), ("val", "png")])
def test_held_out_images_that_are_trained_on_are_told(tmp_path, split, suffix):
    """Copies of train images among the images of another split are counted and named, whatever their format."""
    make_folder(tmp_path, split="train")
    make_folder(tmp_path, split=split, seed=1)
    copy = tmp_path / split / "cat" / f"copy.{suffix}"
    Image.open(tmp_path / "train" / "cat" / "0.png").save(copy)
    (told,) = warnings_of(tmp_path)
    images, others = {"val": ("validation", "train"), "test": ("test", "train or validation")}[split]
    assert told.startswith(f"1 of 17 {images} images is a copy of {others} images, such as {copy} of ")
    assert told.split(" of ")[-1].startswith(str(tmp_path / "train" / "cat" / "0.png"))


def test_images_in_two_classes_are_told(tmp_path):
    """An image that lies in two classes is named."""
    make_folder(tmp_path)
    (tmp_path / "dog" / "copy.png").write_bytes((tmp_path / "cat" / "0.png").read_bytes())
    told = warnings_of(tmp_path)[0]
    assert told.startswith("1 image is in more than one class, such as ")
    assert "0.png" in told
    assert "copy.png" in told


def save_masks(folder):
    """Write masks, whose values are 0 to 2 of 255."""
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        Image.fromarray(np.full((24, 24), number % 3, dtype=np.uint8)).save(path)


def save_hidden_shapes(folder):
    """Write images whose grey is that of the ground, so that nothing of their shapes is seen."""
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        Image.new("RGBA", (24, 24), (128, 128, 128, number)).save(path)


def save_blanks(folder):
    """Write the same white page again and again."""
    for path in folder.rglob("*.png"):
        Image.new("L", (24, 24), 255).save(path)


@pytest.mark.parametrize("save", [save_masks, save_hidden_shapes, save_blanks])
def test_images_that_look_all_alike_are_told(tmp_path, save):
    """A set without content is trained on, but not without a word."""
    save(make_folder(tmp_path))
    (told,) = warnings_of(tmp_path)
    assert told.startswith("all 16 images look nearly alike to a network")


def test_low_bits_of_16_are_content(tmp_path):
    """Two classes that differ in the low bits of 16 alone differ for a network, and the range is told."""
    make_folder(tmp_path)
    rng = np.random.default_rng(0)
    for name, low in (("cat", 2830), ("dog", 2950)):
        for path in (tmp_path / name).iterdir():
            Image.fromarray(rng.integers(low, low + 61, (24, 24)).astype(np.uint16)).save(path)
    reporter = RecordingReporter()
    task = load_task(str(tmp_path), 16, reporter=reporter)
    assert not reporter.warnings
    assert any("use the values 2830 to 3010, which become 0 to 255" in said for said in reporter.said)
    for split in (task.train, task.validation, task.test):
        means = split.images.float().mean(dim=(1, 2, 3))
        assert ((means > 128) == (split.labels == 1)).all()


def test_shapes_in_the_transparency_are_content(tmp_path):
    """Classes whose shapes are in the alpha channel alone differ for a network."""
    make_folder(tmp_path)
    for name, box in (("cat", (0, 0, 12, 24)), ("dog", (12, 0, 24, 24))):
        for number, path in enumerate(sorted((tmp_path / name).iterdir())):
            alpha = Image.new("L", (24, 24), 0)
            alpha.paste(180 + 10 * number, box)
            image = Image.new("RGB", (24, 24))
            image.putalpha(alpha)
            image.save(path)
    assert warnings_of(tmp_path) == []
    train = load_task(str(tmp_path), 16).train
    left = train.images[:, :, :, :6].float().mean(dim=(1, 2, 3))
    assert ((left > 100) == (train.labels == 1)).all()


def write_png16(path, values, kind):
    """Write values of 16 bits as a PNG file of a colour type that Pillow does not write."""
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


@pytest.mark.parametrize(("kind", "bands"), [(2, 3), (4, 2)])
def test_colours_of_16_bits_that_use_few_of_them_are_told(tmp_path, kind, bands):
    """Their upper eight bits are nearly black: the images differ, but have no contrast to speak of."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(6):
            values = np.full((24, 24, bands), rng.integers(0, 4096))
            if kind == 4:
                values[..., 1] = 65_535
            write_png16(tmp_path / name / f"{number}.png", values, kind)
    (warning,) = [warning for warning in warnings_of(tmp_path) if "copies" not in warning and "class" not in warning]
    assert "all 12 images have hardly any contrast" in warning
    assert "16 bits" in warning


def test_indices_of_a_palette_that_were_saved_as_grey_are_told(tmp_path):
    """Shapes whose values are 0 and 20 of 255 are dark on dark."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(6):
            shape = np.kron(rng.integers(0, 2, (3, 3), dtype=np.uint8), np.full((8, 8), 20, np.uint8))
            Image.fromarray(shape).save(tmp_path / name / f"{number}.png")
    assert "no part of them is darker than level 0 or brighter than level 20" in warnings_of(tmp_path)[0]
