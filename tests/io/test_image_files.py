"""Image files as squares: modes, views, damage and odd names."""

import contextlib
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional

from natdeploy.errors import InputError
from natdeploy.io.image_files import SquareReader, View, find_levels
from natdeploy.io.published_sets import PUBLISHED

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
    assert np.array_equal(SquareReader(size=size, view=View(crop=crop, interpolation=mode))(picture), expected)


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
    pixels = SquareReader(size=20)(str(tmp_path / f"image.{suffix}"))
    assert pixels.shape == (20, 20, 3)
    assert pixels[:, :9].max() <= 2
    assert pixels[:, 11:].min() >= 253


def test_printers_colours_are_turned_round(tmp_path):
    """A CMYK photograph comes out in its own colours, not in their negative."""
    Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK").save(tmp_path / "print.jpg", quality=100)
    pixels = SquareReader(size=16)(str(tmp_path / "print.jpg"))
    assert np.abs(pixels.astype(int) - (200, 40, 90)).max() <= 4


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 6, 8])
def test_orientation_of_the_camera_is_followed(tmp_path, suffix, orientation):
    """An image that is stored turned or mirrored comes out upright; without `upright` it stays as it is stored."""
    stored = Image.fromarray(PICTURE).resize((90, 60), Image.Resampling.BICUBIC)
    stored.save(tmp_path / f"plain.{suffix}")
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    stored.save(path, exif=exif)
    turn = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 6: "ROTATE_270", 8: "ROTATE_90"}.get(orientation)
    upright = Image.open(tmp_path / f"plain.{suffix}").convert("RGB")
    if turn is not None:
        upright = upright.transpose(Image.Transpose[turn])
    upright.save(tmp_path / "expected.png")
    expected = SquareReader(size=60)(str(tmp_path / "expected.png"))
    assert np.array_equal(SquareReader(size=60)(str(path)), expected)


def test_published_views_leave_images_as_they_are_stored(tmp_path):
    """The notes of a camera do not change what published accuracies were measured on."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PICTURE).resize((90, 60)).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(PICTURE).resize((90, 60)).save(tmp_path / "plain.png")
    turned, plain = (
        SquareReader(size=60, view=View(upright=False))(str(tmp_path / f"{name}.png")) for name in ("turned", "plain")
    )
    assert np.array_equal(turned, plain)
    assert not any(published.view.upright for published in PUBLISHED.values())


def test_damaged_notes_of_a_camera_do_no_harm(tmp_path):
    """An image with orientation marks that cannot be read is taken as it is stored."""
    path = tmp_path / "notes.jpg"
    Image.new("RGB", (16, 16), (200, 40, 90)).save(path, exif=b"Exif\0\0broken notes")
    assert SquareReader(size=16)(str(path)).shape == (16, 16, 3)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, suffix):
    """Later frames do not matter."""
    frames = [Image.new("RGB", (20, 20), (grey,) * 3) for grey in (40, 120, 200)]
    path = tmp_path / f"moving.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == "webp" else {}))
    with Image.open(path) as moving:
        assert moving.n_frames == 3
    assert np.unique(SquareReader(size=10)(str(path))).tolist() == [40]


@pytest.mark.parametrize("name", ["two words.png", "größe ñ 猫.png", 'it\'s "quoted" & $HOME.png', "-rf.png"])
def test_names_may_hold_anything(tmp_path, name):
    """Spaces, quotes and letters of any script are read, and named rightly where the file is damaged."""
    path = tmp_path / name
    Image.new("RGB", (8, 8), (70, 70, 70)).save(path)
    assert np.unique(SquareReader(size=8)(str(path))).tolist() == [70]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError) as caught:
        SquareReader(size=8)(str(path))
    assert caught.value.message.startswith(f"{path}: not a readable image: ")


def test_a_text_that_is_called_an_image_is_refused(tmp_path):
    """The reason is what the file holds."""
    (tmp_path / "notes.png").write_text("not an image")
    with pytest.raises(InputError, match=r"notes\.png: not a readable image: its content is not in a known"):
        SquareReader(size=8)(str(tmp_path / "notes.png"))


def test_a_truncated_image_is_refused(tmp_path):
    """An image that ends too early is not filled up with grey."""
    path = tmp_path / "cut.jpg"
    Image.fromarray(PICTURE).resize((300, 200)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cut\.jpg: not a readable image: .*truncated"):
        SquareReader(size=8)(str(path))


def test_a_broken_link_is_named_as_one(tmp_path):
    """The reason is where the link leads."""
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"link\.png: .* it is a link to .*gone\.png, which does not exist"):
        SquareReader(size=8)(str(tmp_path / "link.png"))


def test_a_file_without_permission_is_named(tmp_path, monkeypatch):
    """The reason is the system's."""

    def refuse(path, flags):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match=r"secret\.png: not a readable image: Permission denied$"):
        SquareReader(size=8)(str(tmp_path / "secret.png"))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_range_are_refused(tmp_path, mode):
    """What cannot be mapped to 8 bits is refused with what to do."""
    Image.new(mode, (8, 8), 100_000).save(tmp_path / "wide.tif")
    with pytest.raises(InputError, match=r"wide\.tif: .* no fixed range; convert it"):
        SquareReader(size=8)(str(tmp_path / "wide.tif"))


def test_an_enormous_image_is_refused(tmp_path, monkeypatch):
    """An image whose pixels would fill the memory is refused before they are unpacked."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    Image.new("1", (2_000, 2_000)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png: not a readable image: it has more than the 2 megapixels"):
        SquareReader(size=8)(str(tmp_path / "bomb.png"))


# An orientation, and a name of the camera's maker that ends behind the end of the file.
BROKEN_EXIF = b"Exif\0\0II*\0\x08\0\0\0\x03\0" + struct.pack("<HHIIHHII", 0x0112, 3, 1, 1, 0x010F, 2, 5000, 900)


def test_images_that_pillow_warns_of_are_read_without_a_word(tmp_path):
    """Of images so large that Pillow warns, or with damaged EXIF, nothing is printed, and no path of a library."""
    paths = [tmp_path / f"large.{suffix}" for suffix in ("png", "jpg", "tif")]
    for path in paths:
        Image.new("L", (40, 40)).save(path)
    paths.append(tmp_path / "notes.jpg")
    Image.new("L", (16, 16)).save(paths[-1], exif=BROKEN_EXIF)
    code = (
        "import sys; from PIL import Image; Image.MAX_IMAGE_PIXELS = 1000; "
        "from natdeploy.io.image_files import SquareReader, read_file; "
        "print([SquareReader(size=8)._decode(read_file(path)).mode for path in sys.argv[1:]])"
    )
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, check=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (str(["RGB"] * 4), "")


def shades(path, values, dtype="<u2"):
    """Write a grey image of 16 bits that consists of stripes of some values."""
    Image.fromarray(np.repeat(np.array(values, dtype=dtype), 8).reshape(1, -1).repeat(8, axis=0)).save(path)


@pytest.mark.parametrize(
    ("low", "high"), [(2830, 3010), (0, 1023), (0, 4095), (30_000, 33_000), (65_000, 65_535)], ids=str
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled_by_the_range_that_the_set_uses(tmp_path, low, high, suffix):
    """The smallest value of the sample becomes black and the largest white, wherever in the 16 bits they lie."""
    middle = (low + high) // 2
    for number, values in enumerate([(low, middle), (middle, high)]):
        shades(tmp_path / f"{number}.{suffix}", values)
    paths = [str(tmp_path / f"{number}.{suffix}") for number in range(2)]
    levels = find_levels(paths)
    assert levels == (low, high)
    read = [SquareReader(size=8, levels=levels)(path) for path in paths]
    assert (read[0].min(), read[1].max()) == (0, 255)
    assert abs(int(read[0].max()) - 127) <= 1


@pytest.mark.parametrize("values", [(0, 65_535), (100, 60_000), (5, 5)])
def test_16_bits_that_are_used_are_kept(tmp_path, values):
    """Of images that use most of their range, or one value alone, the upper eight bits are taken."""
    shades(tmp_path / "1.png", values)
    assert find_levels([str(tmp_path / "1.png")]) == (0, 65_535)


def test_values_beyond_the_levels_are_clipped(tmp_path):
    """A brighter image than those that set the levels is white, and does not become dark again."""
    shades(tmp_path / "1.png", (100, 5000))
    assert np.unique(SquareReader(size=16, levels=(200, 1000))(str(tmp_path / "1.png")))[[0, -1]].tolist() == [0, 255]


def test_levels_are_not_asked_of_damaged_or_plain_images(tmp_path):
    """Images of 8 bits and files that are no images have no say."""
    Image.new("L", (8, 8), 7).save(tmp_path / "plain.png")
    (tmp_path / "broken.png").write_text("not an image")
    shades(tmp_path / "wide.png", (100, 300))
    assert find_levels([str(path) for path in tmp_path.iterdir()]) == (100, 300)


def draw_alpha(mode, colour):
    """Return an image of one colour whose left half is transparent."""
    alpha = Image.new("L", (20, 20), 255)
    alpha.paste(0, (0, 0, 10, 20))
    image = Image.new("RGB", (20, 20), (colour,) * 3)
    image.putalpha(alpha)
    return image.convert(mode)


@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize(("mode", "suffix"), [("RGBA", "png"), ("RGBA", "webp"), ("LA", "png"), ("RGBA", "tif")])
def test_a_shape_in_the_transparency_alone_can_be_seen(tmp_path, mode, suffix, colour):
    """Black and white shapes stand out from the ground that transparency is put on."""
    draw_alpha(mode, colour).save(tmp_path / f"icon.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    pixels = SquareReader(size=20)(str(tmp_path / f"icon.{suffix}"))
    assert np.unique(pixels[:, :10]).tolist() == [128]
    assert np.unique(pixels[:, 10:]).tolist() == [colour]


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_transparent_colour_of_a_palette_becomes_the_ground(tmp_path, suffix):
    """What a palette marks as transparent is not drawn in the colour that happens to be there."""
    image = Image.new("P", (20, 20), 1)
    image.putpalette([200, 0, 0, 0, 0, 200] + [0] * 762)
    image.paste(0, (0, 0, 10, 20))
    image.save(tmp_path / f"icon.{suffix}", transparency=0)
    pixels = SquareReader(size=20)(str(tmp_path / f"icon.{suffix}"))
    assert np.unique(pixels[:, :10]).tolist() == [128]
    assert pixels[5, 15].tolist() == [0, 0, 200]


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
            assert SquareReader(size=8)(str(path)).shape == (8, 8, 3)


@pytest.mark.parametrize("maximum", [1023, 4095, 65_535])
def test_16_bits_of_a_pgm_are_scaled_as_it_says(tmp_path, maximum):
    """A PGM file states its range, so its largest value is white."""
    values = np.full((8, 8), maximum, dtype=">u2")
    values[:4] = maximum // 2
    (tmp_path / "1.pgm").write_bytes(b"P5 8 8 %d\n" % maximum + values.tobytes())
    pixels = SquareReader(size=8, levels=find_levels([str(tmp_path / "1.pgm")]))(str(tmp_path / "1.pgm"))
    assert (pixels[0, 0, 0], pixels[7, 7, 0]) == (127, 255)


@pytest.mark.parametrize(("width", "height"), [(100_000, 1), (1, 100_000), (70_000, 3)])
def test_of_a_sliver_the_middle_is_taken(tmp_path, monkeypatch, width, height):
    """An image that is very much longer than wide is not resized as a whole, which would take gigabytes."""
    values = np.zeros((height, width), np.uint8)
    values[height // 2 - height // 9 :, width // 2 - width // 9 :] = 200
    values[height // 2 + height // 9 + 1 :, width // 2 + width // 9 + 1 :] = 100
    Image.fromarray(values).save(tmp_path / "1.png")
    sizes, resize = [], functional.resize
    monkeypatch.setattr(functional, "resize", lambda image, *rest: (sizes.append(image.size), resize(image, *rest))[1])
    pixels = SquareReader(size=224)(str(tmp_path / "1.png"))
    assert pixels.shape == (224, 224, 3)
    assert np.unique(pixels[:, :, 0]).tolist()[-1] == 200
    assert max(sizes[0]) <= 33 * min(sizes[0])
