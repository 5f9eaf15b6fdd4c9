"""What image files hold that Pillow does not read."""

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from natdeploy.errors import InputError
from natdeploy.io.image_content import drop_text
from natdeploy.io.image_files import SquareReader

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))


def make_tiff(bands, kind):
    """Return a TIFF file with so many bands of a numpy type, as satellites send them."""
    frames = io.BytesIO()
    PICTURE.save(frames, "TIFF")
    content = bytearray(frames.getvalue())
    # 277 is the number of samples per pixel.
    place = content.find((277).to_bytes(2, "little") + (3).to_bytes(2, "little"))
    content[place + 8 : place + 10] = bands.to_bytes(2, "little")
    return bytes(content) + np.zeros(16 * 16 * bands, kind).tobytes()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\0" * 500, "the file holds nothing but zeros"),
        (b"\n<!DOCTYPE html><html><title>404</title>", "it is a web page: download the image itself"),
        (b'<?xml version="1.0"?><Error>AccessDenied</Error>', "it is a web page: download the image itself"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS: fetch the images with"),
        (b"\0\0\0\x18ftypheic" + bytes(90), "it is a HEIC photograph: convert it"),
        (b"\0\0\0\x18ftypmp42" + bytes(90), "it is a video, or a photograph of a kind that is not read"),
        (b"PK\x03\x04" + bytes(90), "it is an archive: unpack it"),
        (b"\xff\x0a" + bytes(90), "it is a JPEG XL image"),
        (make_tiff(13, "uint16"), "it is a TIFF with more than four bands"),
        (make_tiff(7, "uint8"), "it is a TIFF with more than four bands"),
        (b"nothing that is known", "its content is not in a known image format"),
    ],
)
def test_what_is_no_image_is_called_what_it_is(tmp_path, content, said, capfd):
    """The reason says what the file is, and nothing else is printed."""
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        SquareReader(size=8)(str(path))
    assert f"picture.png: not a readable image: {said}" in caught.value.message
    assert capfd.readouterr() == ("", "")


def save_text(path):
    """Save the picture with three megabytes of text."""
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * 3_000_000, zip=True)
    PICTURE.save(path, pnginfo=info)


def save_international_text(path):
    """Save the picture with three megabytes of text, in the chunk for all languages."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("workflow", "x" * 3_000_000, zip=True)
    PICTURE.save(path, pnginfo=info)


def save_profile(path):
    """Save the picture with two megabytes of colour profile."""
    PICTURE.save(path, icc_profile=bytes(2_000_000))


@pytest.mark.parametrize("save", [save_text, save_international_text, save_profile])
def test_texts_of_a_png_do_not_matter(tmp_path, save):
    """A PNG that Pillow refuses for the length of its texts or its colour profile is read."""
    path = tmp_path / "picture.png"
    save(path)
    with pytest.raises(ValueError, match=r"(?i)decompressed data too large"):
        Image.open(path)
    assert np.array_equal(SquareReader(size=16)(str(path)), np.asarray(PICTURE))


def test_only_texts_are_dropped():
    """All other chunks and other files stay as they are; a file that ends early is not read beyond its end."""
    kept, info = io.BytesIO(), PngImagePlugin.PngInfo()
    PICTURE.save(kept, "PNG")
    info.add_text("author", "somebody")
    texts = io.BytesIO()
    PICTURE.save(texts, "PNG", pnginfo=info)
    assert drop_text(texts.getvalue()) == kept.getvalue()
    assert drop_text(b"GIF89a") == b"GIF89a"
    assert kept.getvalue().startswith(drop_text(kept.getvalue()[:-20])[:-20])


def save_photograph(size=(200, 200), **options):
    """Return a JPEG file of noise, with a thumbnail in its notes, as cameras write it."""
    small, large = io.BytesIO(), io.BytesIO()
    PICTURE.save(small, "JPEG")
    PICTURE.resize(size).save(large, "JPEG", exif=b"Exif\0\0" + small.getvalue(), **options)
    return large.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_photograph_that_is_filled_up_with_zeros_is_truncated(tmp_path, options, share):
    """What an interrupted download leaves is refused, although the decoder reads it as grey."""
    content = save_photograph(**options)
    kept = int(share * len(content))
    (tmp_path / "1.jpg").write_bytes(content[:kept] + bytes(len(content) - kept))
    with pytest.raises(InputError, match=rf"1\.jpg: not a readable image: .*truncated.* of its {len(content)} bytes"):
        SquareReader(size=16)(str(tmp_path / "1.jpg"))


@pytest.mark.parametrize("added", [bytes(500), b"video\xff\xda" + bytes(500), b""])
def test_what_lies_behind_the_end_of_a_photograph_does_no_harm(tmp_path, added):
    """Phones append short videos and zeros to photographs."""
    (tmp_path / "1.jpg").write_bytes(save_photograph() + added)
    assert SquareReader(size=16)(str(tmp_path / "1.jpg")).std() > 10


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_truncated_webp_is_called_that(tmp_path, share):
    """The message does not speak of a decoder object."""
    written = io.BytesIO()
    PICTURE.resize((99, 99)).save(written, "WEBP")
    content = written.getvalue()
    (tmp_path / "1.webp").write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"not a readable image: image file is truncated$"):
        SquareReader(size=16)(str(tmp_path / "1.webp"))
