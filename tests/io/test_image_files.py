"""Image files as squares: modes, views, damage and odd names."""

import contextlib

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from natdeploy.errors import InputError
from natdeploy.io.image_files import View, read_square

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.fixture
def picture(tmp_path):
    """A wide smooth picture."""
    path = tmp_path / "picture.png"
    Image.fromarray(PICTURE).resize((90, 60), Image.Resampling.BICUBIC).save(path)
    return str(path)


@pytest.mark.parametrize("size", [20, 33])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop", [None, 1.0, 0.875])
def test_views_are_those_of_torchvision(picture, size, mode, crop):
    """A square is what Resize and CenterCrop give of the same image."""
    interpolation = transforms.InterpolationMode(mode)
    resized = {None: (size, size), 1.0: size, 0.875: {20: 23, 33: 38}[size]}[crop]
    steps = transforms.Compose([transforms.Resize(resized, interpolation), transforms.CenterCrop(size)])
    expected = np.asarray(steps(Image.open(picture).convert("RGB")))
    assert np.array_equal(read_square(picture, size=size, view=View(crop=crop, interpolation=mode)), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I;16B"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    """Grey, 16-bit, palette, transparent and print images keep their colours in three channels."""
    plain = np.zeros((20, 20), dtype=np.uint8)
    plain[:, 10:] = 255
    image = Image.fromarray(plain)
    if mode.startswith("I;16"):
        image = Image.fromarray((plain.astype(np.uint16) * 257).astype(">u2" if mode == "I;16B" else "<u2"))
    elif mode == "PA":
        image = image.convert("P").convert("PA")
    else:
        image = image.convert("RGB").convert(mode)
    suffix = {"YCbCr": "jpg", "I;16": "png"}.get(mode, "tif")
    image.save(tmp_path / f"image.{suffix}", **({"quality": 100} if suffix == "jpg" else {}))
    pixels = read_square(str(tmp_path / f"image.{suffix}"), size=20, view=View())
    assert pixels.shape == (20, 20, 3)
    assert pixels[:, :9].max() <= 2
    assert pixels[:, 11:].min() >= 253


def test_printers_colours_are_turned_round(tmp_path):
    """A CMYK photograph comes out in its own colours, not in their negative."""
    Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK").save(tmp_path / "print.jpg", quality=100)
    pixels = read_square(str(tmp_path / "print.jpg"), size=16, view=View())
    assert np.abs(pixels.astype(int) - (200, 40, 90)).max() <= 4


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, suffix):
    """Later frames do not matter."""
    frames = [Image.new("RGB", (20, 20), (grey,) * 3) for grey in (40, 120, 200)]
    path = tmp_path / f"moving.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == "webp" else {}))
    with Image.open(path) as moving:
        assert moving.n_frames == 3
    assert np.unique(read_square(str(path), size=10, view=View())).tolist() == [40]


@pytest.mark.parametrize("name", ["two words.png", "größe ñ 猫.png", 'it\'s "quoted" & $HOME.png', "-rf.png"])
def test_names_may_hold_anything(tmp_path, name):
    """Spaces, quotes and letters of any script are read, and named rightly where the file is damaged."""
    path = tmp_path / name
    Image.new("RGB", (8, 8), (70, 70, 70)).save(path)
    assert np.unique(read_square(str(path), size=8, view=View())).tolist() == [70]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError) as caught:
        read_square(str(path), size=8, view=View())
    assert caught.value.message.startswith(f"{path}: not a readable image: ")


def test_a_text_that_is_called_an_image_is_refused(tmp_path):
    """The reason is what the file holds."""
    (tmp_path / "notes.png").write_text("not an image")
    with pytest.raises(InputError, match=r"notes\.png: not a readable image: its content is not in a known"):
        read_square(str(tmp_path / "notes.png"), size=8, view=View())


def test_a_truncated_image_is_refused(tmp_path):
    """An image that ends too early is not filled up with grey."""
    path = tmp_path / "cut.jpg"
    Image.fromarray(PICTURE).resize((300, 200)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cut\.jpg: not a readable image: .*truncated"):
        read_square(str(path), size=8, view=View())


def test_a_broken_link_is_named_as_one(tmp_path):
    """The reason is where the link leads."""
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"link\.png: .* it is a link to .*gone\.png, which does not exist"):
        read_square(str(tmp_path / "link.png"), size=8, view=View())


def test_a_file_without_permission_is_named(tmp_path, monkeypatch):
    """The reason is the system's."""

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(InputError, match=r"secret\.png: not a readable image: Permission denied$"):
        read_square(str(tmp_path / "secret.png"), size=8, view=View())


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_range_are_refused(tmp_path, mode):
    """What cannot be mapped to 8 bits is refused with what to do."""
    Image.new(mode, (8, 8), 100_000).save(tmp_path / "wide.tif")
    with pytest.raises(InputError, match=r"wide\.tif: .* no fixed range; convert it"):
        read_square(str(tmp_path / "wide.tif"), size=8, view=View())


def test_an_enormous_image_is_refused(tmp_path, monkeypatch):
    """An image whose pixels would fill the memory is refused before they are unpacked."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    Image.new("RGB", (100, 100)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png: not a readable image: .*exceeds limit"):
        read_square(str(tmp_path / "bomb.png"), size=8, view=View())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tif", "ppm"])
def test_damage_of_any_kind_is_read_or_refused(tmp_path, suffix):
    """Of 300 damaged copies of an image, each is read or refused, and none ends in an error of another kind."""
    path = tmp_path / f"damaged.{suffix}"
    Image.fromarray(PICTURE).resize((40, 30)).save(path)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(300):
        raw = whole.copy()
        where = rng.integers(0, len(raw) if rng.random() < 0.5 else min(64, len(raw)), 4)
        raw[where] = rng.integers(0, 256, 4)
        path.write_bytes(raw[: rng.integers(8, len(raw) + 1)].tobytes() if rng.random() < 0.3 else raw.tobytes())
        with contextlib.suppress(InputError):
            assert read_square(str(path), size=8, view=View()).shape == (8, 8, 3)
