"""Looks at the bytes of image files that Pillow does not read."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from PIL import UnidentifiedImageError

from natdeploy.errors import InputError
from natdeploy.readers import IMAGE_BYTES, open_file

_PNG = b"\x89PNG\r\n\x1a\n"
# Markers of JPEG: of its start, of the pixels, and of its end.
_JPEG, _SCAN, _END = b"\xff\xd8", b"\xda", b"\xff\xd9"
_ZEROS = 64
_HEAD_BYTES = 16
_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8|RIFF....WEBP|II\*\0|MM\0\*|....ftyp(avi|hei|hev|mif|msf)", re.DOTALL
)
# Chunks of text and of the colour profile.
_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})
_KINDS = (
    (re.compile(rb"\s*<(!doctype html|html|\?xml)", re.IGNORECASE), "a web page: download the image itself"),
    (re.compile(rb"version https://git-lfs"), "a pointer of Git LFS: fetch the images with `git lfs pull`"),
    (re.compile(rb"....ftyp(hei|hev|mif|msf)", re.DOTALL), "a HEIC photograph: convert it to .jpg or .png"),
    (
        re.compile(rb"....ftyp", re.DOTALL),
        "a video, or a photograph of a kind that is not read: convert it to .jpg or .png",
    ),
    (
        re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"),
        "a TIFF with more than four bands, with values that are not whole numbers, or of another kind that is not "
        "read: convert it to RGB with 8 bits",
    ),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "a JPEG XL image: convert it to .jpg or .png"),
    (re.compile(rb"PK\x03\x04|\x1f\x8b|Rar!"), "an archive: unpack it"),
)


def is_image(path: str) -> bool:
    """Tell from its first bytes whether a file is an image, whatever its name is."""
    try:
        with open_file(Path(path), IMAGE_BYTES) as handle:
            return _IMAGE.match(handle.read(_HEAD_BYTES)) is not None
    except InputError:
        return False


def describe_damage(error: Exception, content: bytes) -> str:
    """Return why an image cannot be read.

    Args:
        error: What its reader raised.
        content: The file.
    """
    if not content.strip(b"\0"):
        return "the file is empty" if not content else "the file holds nothing but zeros"
    if isinstance(error, UnidentifiedImageError):
        known = [kind for pattern, kind in _KINDS if pattern.match(content)]
        return f"it is {known[0]}" if known else "its content is not in a known image format"
    if content.startswith(b"RIFF") and int.from_bytes(content[4:8], "little") + 8 > len(content):
        return "image file is truncated"
    return str(error) or type(error).__name__


def require_whole(content: bytes) -> None:
    """Require that a JPEG file does not end in zeros, with which interrupted downloads and copies fill files.

    The decoder shows what is missing as grey, without an error.

    Raises:
        ValueError: It does.
    """
    if not (content.startswith(_JPEG) and content.endswith(bytes(_ZEROS))):
        return
    place = len(_JPEG)
    while content[place : place + 1] == b"\xff" and content[place + 1 : place + 2] != _SCAN:
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
    if content.find(_END, place) < 0:
        zeros = len(content) - len(content.rstrip(b"\0"))
        msg = f"image file is truncated: the last {zeros} of its {len(content)} bytes are zeros"
        raise ValueError(msg)


def drop_text(content: bytes) -> bytes:
    """Return a PNG file without its texts and its colour profile; any other file as it is."""
    if not content.startswith(_PNG):
        return content
    kept, place = [_PNG], len(_PNG)
    while place + 8 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        end = place + 12 + length
        if content[place + 4 : place + 8] not in _TEXT_CHUNKS:
            kept.append(content[place:end])
        place = end
    return b"".join(kept)
