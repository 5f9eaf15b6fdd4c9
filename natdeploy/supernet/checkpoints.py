"""Reads and writes weight files. Every weight file and checkpoint is opened here, without executing anything in it."""

from __future__ import annotations

import argparse
import pickle
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from natdeploy.errors import DivergedError, InputError
from natdeploy.files import atomic_path
from natdeploy.readers import WEIGHT_BYTES, open_file
from natdeploy.supernet.released_names import number_blocks, shorten, to_own_names
from natdeploy.supernet.states import find_infinite, find_state, require_sound, strip_prefixes
from natdeploy.supernet.weight_files import AGAIN, require_weight_file

_HALF = (torch.float16, torch.bfloat16)
# Exceptions of torch's reader on a damaged file. With weights_only, no code of the file has run by then.
_DAMAGED = (
    *(OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError),
    *(AttributeError, AssertionError, ArithmeticError, MemoryError, struct.error),
)
_REFUSED_TYPE = re.compile(r"GLOBAL ([\w.]+)")


def read_state(path: Path, inform: Callable[[str], object] | None = None) -> dict[str, Tensor]:
    """Read the tensors of a network from a safetensors file or a torch checkpoint.

    A checkpoint may contain them directly or under a key, such as `state_dict` or `model`. Prefixes of wrappers such as
    `module.` are left out of their names. Weights in 16 bits become float32.

    Args:
        path: The file.
        inform: Is told which tensors are read, if the file has those of several networks.

    Raises:
        InputError: The file is missing, damaged or of another kind, contains something other than tensors, or a tensor
            that cannot be a weight. The message says what it is instead.
    """
    path = Path(path)
    content = _read_safetensors(path) if require_weight_file(path) == "safetensors" else load_checkpoint(path)
    state = find_state(content, str(path), inform)
    require_sound(state, str(path))
    return {name: tensor.float() if tensor.dtype in _HALF else tensor for name, tensor in strip_prefixes(state).items()}


def load_checkpoint(path: Path) -> object:
    """Return the content of a torch checkpoint: tensors, numbers, texts and collections of them.

    Raises:
        InputError: The file is missing, damaged or of another kind, or contains other objects.
    """
    require_weight_file(path)
    try:
        # Programs store their options as a Namespace, which is no more than a dictionary.
        with torch.serialization.safe_globals([argparse.Namespace]), open_file(path, WEIGHT_BYTES) as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = _REFUSED_TYPE.search(str(error))
        what = f"it contains an object of type {refused[1]}" if refused else "it contains other objects"
        msg = f"{path}: not a checkpoint of tensors alone: {what}. Loading it could run code, so it is refused"
        hint = "save the weights alone, in the program that wrote it: torch.save(model.state_dict(), FILE)"
        raise InputError(msg, hint=hint) from error
    except _DAMAGED as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        msg = f"{path}: not a readable checkpoint: {'it ends too early' if isinstance(error, EOFError) else reason}"
        raise InputError(msg, hint=AGAIN) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, LookupError, ValueError) as error:
        msg = f"{path}: not a readable safetensors file: {error}"
        raise InputError(msg, hint=AGAIN) from error


def write_state(path: Path, state: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Write tensors as a safetensors file, atomically, with the metadata `about` them.

    Raises:
        DivergedError: A tensor contains a value that is no finite number.
        OutputError: The file cannot be written.
    """
    broken = find_infinite(state)
    if broken is not None:
        msg = f"{path}: is not written, because {broken} contains values that are not finite numbers"
        raise DivergedError(msg, hint="train again with a lower --lr")
    content = save({name: tensor.detach().contiguous() for name, tensor in state.items()}, dict(about or {}) or None)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def load_network_weights(network: nn.Module, path: Path, inform: Callable[[str], object] | None = None) -> None:
    """Load the weight file of a subnet into its network.

    Names may be natdeploy's own or those of the files that OFA and the NAT authors released.

    Args:
        network: The network.
        path: The file.
        inform: Is told which tensors are read, if the file has those of several networks.

    Raises:
        InputError: The file is damaged or does not fit. The message lists unexpected and missing names.
    """
    expected = network.state_dict()
    state = to_own_names(number_blocks(read_state(path, inform)), expected, str(path), what="architecture")
    odd = [name for name in expected if state[name].shape != expected[name].shape]
    if odd:
        msg = f"{path}: the weights do not fit the architecture; of another shape: {shorten(odd)}"
        raise InputError(msg)
    network.load_state_dict(state)


def count_classes(path: Path) -> int:
    """Return the number of classes of the classifier in a supernet's weight file.

    Raises:
        InputError: The file is damaged or has no classifier.
    """
    for name, tensor in read_state(path).items():
        if name.endswith(("classifier.weight", "classifier.linear.weight")):
            return len(tensor)
    msg = f"{path}: the weights have no classifier"
    raise InputError(msg)
