"""Images to calibrate with, by name or from a folder."""

import numpy as np
import pytest
import torch
from PIL import Image

from natdeploy.errors import InputError
from natdeploy.io.calibration_images import load_calibration_images
from natdeploy.testing.fakes import RecordingReporter


def rng():
    """Return a seeded generator."""
    return np.random.default_rng(0)


def save(path, size=(40, 40), mode="RGB", colour=None):
    """Write an image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def test_name_means_train_images():
    """Of a data set known by name, images come from the train split alone, chosen by the generator."""
    from natdeploy.io.datasets import load_task

    read = load_calibration_images("digits", 32, count=20, rng=rng())
    known = {image.numpy().tobytes() for image in load_task("digits", 32).train.to_tensor()}
    assert read.pixels.shape == (20, 3, 8, 8)
    assert all(image.numpy().tobytes() in known for image in read.pixels)
    assert torch.equal(read.pixels, load_calibration_images("digits", 32, count=20, rng=rng()).pixels)


def test_folder_of_any_images_does(tmp_path):
    """Grey, tall, small and transparent images without classes become squares of the size that is asked for."""
    save(tmp_path / "grey.png", mode="L", colour=200)
    save(tmp_path / "tall.png", size=(20, 90))
    save(tmp_path / "deep" / "small.png", size=(3, 3))
    save(tmp_path / "clear.png", mode="RGBA", colour=(10, 20, 30, 0))
    read = load_calibration_images(str(tmp_path), 24, count=10, rng=rng())
    assert read.pixels.shape == (4, 3, 24, 24)
    assert read.pixels.dtype == torch.uint8
    assert 200 in read.pixels.amax(dim=(1, 2, 3))


@pytest.mark.parametrize("train", ["train", "Training", "training_set"])
def test_train_folder_is_preferred(tmp_path, train):
    """Where a folder holds train and test images, those to train on are taken."""
    save(tmp_path / train / "a" / "1.png", colour=(255, 255, 255))
    save(tmp_path / "test" / "a" / "1.png", colour=(0, 0, 0))
    read = load_calibration_images(str(tmp_path), 8, count=10, rng=rng())
    assert (len(read.pixels), int(read.pixels.min())) == (1, 255)


def test_what_is_not_read_is_told(tmp_path):
    """Pictures of a kind that is not read and copies of programs are counted, and damaged images named at once."""
    for number in range(4):
        save(tmp_path / "a" / f"{number}.png")
    save(tmp_path / ".ipynb_checkpoints" / "0.png")
    (tmp_path / "a" / "phone.HEIC").touch()
    reporter = RecordingReporter()
    read = load_calibration_images(str(tmp_path), 8, count=10, rng=rng(), reporter=reporter)
    assert len(read.pixels) == 4
    assert any("1 image in .ipynb_checkpoints/, which is hidden" in line for line in reporter.warnings)
    assert any("1 .heic; convert" in line for line in reporter.warnings)
    for number in (1, 2):
        (tmp_path / "a" / f"{number}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"2 images cannot be read:\n.*1\.png: .*empty\n.*2\.png: .*empty"):
        load_calibration_images(str(tmp_path), 8, count=10, rng=rng())


def test_no_more_than_asked_for(tmp_path):
    """Of more images than asked for, so many are read."""
    for number in range(5):
        save(tmp_path / f"{number}.png")
    assert len(load_calibration_images(str(tmp_path), 8, count=3, rng=rng()).pixels) == 3


def test_what_holds_no_images_is_refused_by_name(tmp_path):
    """A folder that is missing or empty, a file, and an image that is damaged are each named with the reason."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("no image")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "1.png").write_bytes(b"no image")
    for name, said in (
        ("nowhere", "no such folder, nor a known data set"),
        ("empty", "holds no image"),
        ("file.txt", "is not a folder of images"),
        ("damaged", r"1\.png: not a readable image"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            load_calibration_images(str(tmp_path / name), 8, count=3, rng=rng())
        assert name in caught.value.message
