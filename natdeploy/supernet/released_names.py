"""The names of tensors in the released OFA checkpoints, and natdeploy's own.

The released files come in two layouts. In newer ones a block's path reads `blocks.N.conv.` and elastic layers
are wrapped twice (`conv.conv.weight`, `bn.bn.weight`); in older ones it reads `blocks.N.mobile_inverted_conv.`
and they are wrapped once. Source: mit-han-lab/once-for-all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from natdeploy.errors import InputError

_NAMED = 5
_BLOCK = re.compile(r"blocks\.(0|[1-9][0-9]{0,3})\.")
_UNITS = {"expand": "inverted_bottleneck", "depthwise": "depth_conv", "project": "point_linear"}
_TOPS = {"stem": "first_conv", "final_expand": "final_expand_layer", "feature_mix": "feature_mix_layer"}


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
        parts = [f"left over: {shorten(left_over)}"] if left_over else []
        parts += [f"missing: {shorten(missing)}"] if missing else []
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


def number_blocks(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Number the blocks of a state consecutively: a block without weights leaves a gap in ProxylessNAS's files."""
    numbers = {name: int(match[1]) for name in state if (match := _BLOCK.match(name))}
    places = {number: place for place, number in enumerate(sorted(set(numbers.values())))}
    renamed = {name: _BLOCK.sub(f"blocks.{places[number]}.", name) for name, number in numbers.items()}
    return {renamed.get(name, name): tensor for name, tensor in state.items()}


def shorten(names: list[str]) -> str:
    """Return a list of names as text, the first of many."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
