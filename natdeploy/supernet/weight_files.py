"""Tells by its content what a weight file is, and reads its metadata, without importing torch."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from natdeploy.errors import InputError
from natdeploy.readers import WEIGHT_BYTES, open_file

_HEAD_BYTES = 1024
_LENGTH_BYTES = 8
_ZIP = b"PK\x03\x04"
# The number at the beginning of checkpoints that torch wrote before version 1.6.
_OLD_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
AGAIN = "download or copy it again"
_UNPACK = "unpack it, and give the checkpoint in it"
_EXPORTED = "give the weights that it was exported from"
_SAVE = "save its weights alone, in the program that has it: torch.save(model.state_dict(), FILE)"
# Place in the file, the bytes there, what has them, and what to do.
_SIGNATURES = (
    (
        0,
        b"version https://git-lfs",
        "a pointer of Git LFS to the file, which is stored elsewhere",
        "fetch the file itself: run `git lfs pull` in the repository that it is from",
    ),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"BZh", "a bzip2 archive", _UNPACK),
    (0, b"\xfd7zXZ", "an xz archive", _UNPACK),
    (0, b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"\x93NUMPY", "a NumPy array", _SAVE),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes it", _SAVE),
    (0, b"GGUF", "a GGUF file", _SAVE),
    (4, b"TFL3", "a TFLite model", _EXPORTED),
    (0, b"\x08\x01\x12", "a model of TensorFlow", _EXPORTED),
    # The version of the format, one byte, and the tag of the producer's name.
    *((0, bytes([8, version, 0x12]), "an ONNX model", _EXPORTED) for version in range(3, 15)),
)


def require_weight_file(path: Path) -> Literal["safetensors", "torch"]:
    """Return which kind of weight file this is. Its tensors are not read.

    Raises:
        InputError: The file is missing or cannot be read, or holds no weights. The message says what it is instead.
    """
    if path.is_dir() and any(next(path.glob(pattern), None) for pattern in ("data.pkl", "*/data.pkl")):
        msg = f"{path}: is the folder of an unpacked checkpoint, not a weight file"
        raise InputError(msg, hint="a torch checkpoint is one ZIP archive: download it again, and do not unpack it")
    with open_file(path, WEIGHT_BYTES) as file:
        head, size = file.read(_HEAD_BYTES), file.seek(0, os.SEEK_END)
    # A safetensors file begins with the length of its header, a JSON object.
    length = int.from_bytes(head[:_LENGTH_BYTES], "little")
    if head[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{":
        if length > size - _LENGTH_BYTES:
            msg = f"{path}: is a safetensors file that is cut off"
            raise InputError(msg, hint=AGAIN)
        return "safetensors"
    if _OLD_TORCH in head[:32]:
        return "torch"
    what, hint = _describe_zip(path, size) if head.startswith(_ZIP) else _describe(head)
    if what:
        msg = f"{path}: is {what}, not a weight file"
        raise InputError(msg, hint=hint)
    return "torch"


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a weight file. A torch checkpoint has none.

    Raises:
        InputError: The file is no weight file, or is damaged.
    """
    if require_weight_file(path) != "safetensors":
        return {}
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        msg = f"{path}: not a readable safetensors file: {error}"
        raise InputError(msg, hint=AGAIN) from error


def _describe(head: bytes) -> tuple[str, str | None]:
    """Return what a file is by its beginning, and what to do."""
    if not head:
        return "empty", AGAIN
    for place, signature, what, hint in _SIGNATURES:
        if head.startswith(signature, place):
            return what, hint
    if head[:1] == b"\x80" and b"" < head[1:2] <= b"\x05":
        return "a pickle that torch did not write", "write it with torch.save(state, FILE), or as a safetensors file"
    return _describe_text(head) or ("of a kind that is unknown here, neither safetensors nor a torch checkpoint", None)


def _describe_text(head: bytes) -> tuple[str, str] | None:
    # The last character may be cut off.
    text = head.decode("utf-8", errors="ignore").lstrip("\ufeff").strip()
    if len(text) < len(head) // 2 or not all(letter.isprintable() or letter.isspace() for letter in text):
        return None
    again = "the download was answered with it: open the address in a browser, and save the file itself"
    if re.match(r"<(!doctype html|html|head|\?xml)", text, re.IGNORECASE):
        title = re.search(r"<title>\s*([^<]{1,60})", text, re.IGNORECASE)
        return f"a web page{f' ({title[1].strip()})' if title else ''}", again
    if '"weight_map"' in text:
        return "the index of a checkpoint in several files", "join the files to one, in the program that wrote them"
    first = text.partition("\n")[0].strip()
    return f"a text file, which begins with {first[:60]!r}", f"if it is an answer in place of the file, {again}"


def _describe_zip(path: Path, size: int) -> tuple[str, str | None]:
    """Return what a ZIP archive is and what to do, both empty if torch can have written it as a checkpoint."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a ZIP archive or checkpoint that is cut off or damaged", AGAIN
    names = [entry.filename for entry in entries]
    if any(name.endswith("/constants.pkl") for name in names):
        return "a TorchScript program", "write its weights alone: torch.save(torch.jit.load(OLD).state_dict(), NEW)"
    if any(name.endswith(("models/model.json", "serialized_exported_program.json")) for name in names):
        return "a program of torch.export", _SAVE
    if not any(name.endswith("data.pkl") for name in names):
        return f"a ZIP archive of other files, such as {min(names, default='none')[:60]!r}", _UNPACK
    if sum(entry.file_size for entry in entries) > size:
        return "a compressed ZIP archive", "torch writes checkpoints without compression: write it with torch.save"
    return "", None
