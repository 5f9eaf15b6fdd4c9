"""Reads and writes weight files, with natdeploy's own names or those of the released OFA checkpoints.

The released files come in two layouts. In newer ones a block's path reads `blocks.N.conv.` and elastic layers
are wrapped twice (`conv.conv.weight`, `bn.bn.weight`); in older ones it reads `blocks.N.mobile_inverted_conv.`
and they are wrapped once. Source: mit-han-lab/once-for-all.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from natdeploy.errors import InputError
from natdeploy.files import atomic_path, require_file

_NAMED = 5
_HALF = (torch.float16, torch.bfloat16)
_PARALLEL = "module."
# Exceptions of torch's reader on a damaged file. With weights_only, no code of the file has run by then.
_DAMAGED = (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AssertionError, struct.error)
_UNITS = {"expand": "inverted_bottleneck", "depthwise": "depth_conv", "project": "point_linear"}
_TOPS = {"stem": "first_conv", "final_expand": "final_expand_layer", "feature_mix": "feature_mix_layer"}


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors` file or a torch checkpoint, without executing anything in it.

    A checkpoint may contain its tensors directly or under `state_dict`. Weights in 16 bits become float32.

    Raises:
        InputError: The file is missing or damaged, or contains something other than tensors.
    """
    path = Path(path)
    require_file(path)
    if path.suffix == ".safetensors":
        try:
            return _widen(load_file(path))
        except (SafetensorError, OSError) as error:
            msg = f"{path}: not a readable safetensors file: {error}"
            raise InputError(msg) from error
    content = _read_pickle(path)
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        msg = f"{path}: not a checkpoint: expected a mapping of names to tensors"
        raise InputError(msg)
    return _widen(content)


def _widen(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() if tensor.dtype in _HALF else tensor for name, tensor in state.items()}


def write_state(path: Path, state: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Write tensors as a safetensors file, atomically, with the metadata `about` them.

    Raises:
        OutputError: The file cannot be written.
    """
    content = save({name: tensor.detach().contiguous() for name, tensor in state.items()}, dict(about or {}) or None)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def load_network_weights(network: nn.Module, path: Path) -> None:
    """Load the weight file of a subnet into its network.

    Names may be natdeploy's own or those of the files that OFA and the NAT authors released, whose networks may have
    been trained on several GPUs and then begin with `module.`.

    Raises:
        InputError: The file is damaged or does not fit. The message lists unexpected and missing names.
    """
    expected = network.state_dict()
    given = {name.removeprefix(_PARALLEL): tensor for name, tensor in read_state(path).items()}
    state = to_own_names(_number_blocks(given), expected, str(path), what="architecture")
    odd = [name for name in expected if state[name].shape != expected[name].shape]
    if odd:
        msg = f"{path}: the weights do not fit the architecture; of another shape: {_some(odd)}"
        raise InputError(msg)
    network.load_state_dict(state)


def _number_blocks(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Number the blocks of a state consecutively: a block without weights leaves a gap in ProxylessNAS's files."""
    parts = {name: name.split(".") for name in state}
    numbers = sorted({int(part[1]) for part in parts.values() if part[0] == "blocks" and part[1].isdigit()})
    place = {str(number): str(index) for index, number in enumerate(numbers)}
    return {
        ".".join([part[0], place.get(part[1], part[1]), *part[2:]]) if part[0] == "blocks" else name: state[name]
        for name, part in parts.items()
    }


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


def to_own_names(
    state: Mapping[str, Tensor], names: Iterable[str], source: str, *, what: str = "supernet"
) -> dict[str, Tensor]:
    """Rename the tensors of a released checkpoint. A state with natdeploy's own names stays as it is.

    Args:
        state: Tensors by the file's names.
        names: Expected names.
        source: The file, for the message.
        what: The owner of the names, for the message.

    Raises:
        InputError: A name of the file is unexpected, or an expected one is missing. The message lists them.
    """
    expected = list(names)
    owners = {alias: name for name in expected for alias in (name, *list_released_names(name))}
    if not any(name.startswith("feature_mix.") for name in expected):
        # In ProxylessNAS's networks the 1x1 convolution before the pooling has the name of the other one.
        heads = [name for name in expected if name.startswith("final_expand.")]
        owners |= {name.replace("final_expand", _TOPS["feature_mix"]): name for name in heads}
    result: dict[str, Tensor] = {}
    left_over = []
    for name, tensor in state.items():
        if name not in owners or owners[name] in result:
            left_over.append(name)
        else:
            result[owners[name]] = tensor
    missing = [name for name in expected if name not in result and not name.endswith("num_batches_tracked")]
    if left_over or missing:
        parts = [f"left over: {_some(left_over)}"] if left_over else []
        parts += [f"missing: {_some(missing)}"] if missing else []
        msg = f"{source}: the weights do not fit the {what}; {'; '.join(parts)}"
        raise InputError(msg)
    for name in expected:
        result.setdefault(name, torch.tensor(0))
    return result


def list_released_names(name: str) -> list[str]:
    """Return the names of natdeploy's tensor `name` in the released files, newest first."""
    top, _, rest = name.partition(".")
    if top in _TOPS:
        return [f"{_TOPS[top]}.{rest}"]
    if top == "classifier":
        return [f"classifier.linear.{rest}", name]
    block, _, inner = rest.partition(".")
    paths = [f"blocks.{block}.conv", f"blocks.{block}.mobile_inverted_conv"]
    return [f"{path}.{tail}" for path in paths for tail in _block_names(inner)]


def _block_names(inner: str) -> list[str]:
    unit, _, rest = inner.partition(".")
    if unit == "se":
        return [f"depth_conv.se.fc.{rest}"]
    if unit.startswith("transform_"):
        return [f"depth_conv.conv.{unit.removeprefix('transform_')}_matrix"]
    released = _UNITS[unit]
    wrapper = rest.partition(".")[0]
    return [f"{released}.{wrapper}.{rest}", f"{released}.{rest}"]


def _read_pickle(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        msg = f"{path}: not a checkpoint of tensors alone; loading it could run code, so it is refused"
        raise InputError(msg) from error
    except _DAMAGED as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        msg = f"{path}: not a readable checkpoint: {reason}"
        raise InputError(msg) from error


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
