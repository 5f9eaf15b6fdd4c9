"""How large the images of a data set are, by their headers."""

import numpy as np
import pytest
from PIL import Image

from natdeploy.errors import InputError
from natdeploy.io.dataset_names import DIGITS
from natdeploy.io.image_sizes import measure_short_side


def write(folder, sides):
    """Write images of other heights than widths, in folders of classes, and return the folder."""
    for number, side in enumerate(sides):
        path = folder / "train" / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (side, 3 * side) if number % 2 else (2 * side, side)
        Image.new("RGB", size).save(path)
    return folder


def test_the_median_of_the_short_sides_counts(tmp_path):
    """Of tall and wide images the shorter side counts; one large image does not move the median."""
    assert measure_short_side(str(write(tmp_path, [30, 40, 50, 60, 900]))) == 50


def test_only_headers_are_read(tmp_path):
    """Images whose pixels are missing have a size as well; a file that is no image does not count."""
    folder = write(tmp_path, [40, 40, 40])
    rng = np.random.default_rng(0)
    path = folder / "train" / "0" / "0.png"
    Image.fromarray(rng.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    (folder / "train" / "1" / "1.png").write_text("no image")
    assert measure_short_side(str(folder)) == 170


def test_of_many_images_a_fixed_sample_is_read(tmp_path, monkeypatch):
    """At most 300 headers are read, and the same ones each time."""
    folder, opened = write(tmp_path, range(1, 331)), []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda path: opened.append(path) or real(path))
    assert measure_short_side(str(folder)) == measure_short_side(str(folder))
    assert len(opened) == 600
    assert opened[:300] == opened[300:]


def test_published_sets_and_the_digits_are_known():
    """Nothing is read or downloaded for them; sets of photographs have no one size."""
    assert [measure_short_side(name) for name in (DIGITS, "cifar10", "flowers102")] == [8, 32, None]


def test_a_folder_that_holds_no_readable_image_is_refused(tmp_path):
    """The message names an image."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_text("no image")
    with pytest.raises(InputError, match=r"none of 1 images can be read, such as .*x\.png"):
        measure_short_side(str(tmp_path))
