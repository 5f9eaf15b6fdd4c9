"""Reads the beginning of weight files, without importing torch."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from natdeploy.errors import InputError

# A torch checkpoint is a ZIP archive, or a pickle of protocol 2 in files of older versions.
_TORCH = (b"PK\x03\x04", b"\x80\x02")
_LENGTH_BYTES = 8


def require_weight_file(path: Path) -> None:
    """Check the beginning of a weight file. Its tensors are not read.

    Raises:
        InputError: The file cannot be read, or is neither a safetensors file nor a torch checkpoint.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_LENGTH_BYTES + 1)
        size = path.stat().st_size
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise InputError(msg) from error
    # A safetensors file begins with the length of its header, a JSON object.
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    if start[_LENGTH_BYTES:] == b"{" and length <= size - _LENGTH_BYTES:
        return
    if not start.startswith(_TORCH):
        msg = f"{path}: is neither a safetensors file nor a torch checkpoint"
        raise InputError(msg)


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a weight file. A torch checkpoint has none.

    Raises:
        InputError: A safetensors file cannot be read, or is damaged.
    """
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        msg = f"{path}: not a readable safetensors file: {error}"
        raise InputError(msg) from error
