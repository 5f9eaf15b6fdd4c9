"""Reads the NAT authors' `net.config`, which describes a network layer by layer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from natdeploy.core.architecture import Architecture
from natdeploy.core.layers import BLOCK, walk
from natdeploy.core.space import SPACES, SearchSpace
from natdeploy.errors import InputError

_DEFAULT_RESOLUTION = 224
_BN_EPS = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NetConfig:
    """The network that a `net.config` describes.

    Args:
        architecture: The architecture.
        classes: Number of outputs of the classifier.
        activation: `mish` if every block uses it. None if the blocks use the activations of the space.
        dropout: Dropout rate before the classifier.
    """

    architecture: Architecture
    classes: int
    activation: str | None
    dropout: float


def read_net_config(content: Mapping[str, Any]) -> NetConfig:
    """Read the parsed JSON of a `net.config`.

    Raises:
        InputError: A key is missing or of the wrong type, or the network is not of the family. The
            message names the key.
    """
    blocks = [_get(block, "mobile_inverted_conv", Mapping, f"blocks[{i}]") for i, block in enumerate(_blocks(content))]
    width = _width(_get(_get(content, "first_conv", Mapping), "out_channels", int, "first_conv"))
    stages: list[list[Mapping[str, Any]]] = []
    for index, block in enumerate(_blocks(content)[1:], start=1):
        if block.get("shortcut") is None:
            stages.append([])
        if not stages:
            msg = "blocks[1].shortcut: the first searchable block must begin a stage, without a shortcut"
            raise InputError(msg)
        stages[-1].append(blocks[index])
    resolution = _get(content, "img_size", int) if "img_size" in content else _DEFAULT_RESOLUTION
    _within("img_size", resolution, 32, 4096)
    architecture = Architecture(
        resolution=resolution,
        width=width,
        depths=tuple(len(stage) for stage in stages),
        kernels=tuple(_get(block, "kernel_size", int, f"blocks[{i}]") for i, block in enumerate(blocks) if i),
        expand_ratios=tuple(_expand_ratio(block, f"blocks[{i}]") for i, block in enumerate(blocks) if i),
    )
    _check_family(architecture, blocks)
    _check_norm(content)
    classifier = _get(content, "classifier", Mapping)
    classes = _get(classifier, "out_features", int, "classifier")
    dropout = _get(classifier, "dropout_rate", int | float, "classifier")
    _within("classifier.out_features", classes, 1, 10**6)
    _within("classifier.dropout_rate", dropout, 0, 1)
    return NetConfig(architecture=architecture, classes=classes, activation=_activation(blocks), dropout=float(dropout))


def _blocks(content: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    blocks: list[Any] = _get(content, "blocks", list)
    for index, block in enumerate(blocks):
        if not isinstance(block, Mapping):
            msg = f"blocks[{index}]: expected an object, not {type(block).__name__}"
            raise InputError(msg)
    if len(blocks) < 2:
        msg = f"blocks: lists {len(blocks)} blocks; there must be the fixed block and at least one more"
        raise InputError(msg)
    return blocks


def _get(content: Mapping[str, Any], key: str, kind: Any, where: str = "") -> Any:  # noqa: ANN401
    place = f"{where}.{key}" if where else key
    if key not in content:
        msg = f"{place}: missing"
        raise InputError(msg)
    value = content[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        msg = f"{place}: wrong type {type(value).__name__}"
        raise InputError(msg)
    return value


def _within(place: str, value: float, low: int, high: int) -> None:
    if not low <= value <= high:
        msg = f"{place} is {value}, not between {low} and {high}"
        raise InputError(msg)


def _expand_ratio(block: Mapping[str, Any], where: str) -> int:
    value = _get(block, "expand_ratio", int | float, where)
    if value not in SPACES["nat"].expand_ratios:
        msg = f"{where}.expand_ratio is {value}, not one of {list(SPACES['nat'].expand_ratios)}"
        raise InputError(msg)
    return int(value)


def _width(stem_channels: int) -> float:
    space: SearchSpace = SPACES["nat"]
    for width in space.widths:
        if space.channels(space.stem_channels, width) == stem_channels:
            return width
    msg = f"first_conv.out_channels: no width of the nat space has a stem of {stem_channels} channels"
    raise InputError(msg)


def _check_family(architecture: Architecture, blocks: Sequence[Mapping[str, Any]]) -> None:
    """Check what the architecture does not state: each block must match the block of the nat space."""
    layers = (layer for layer in walk(SPACES["nat"], architecture, 1) if layer.op == BLOCK)
    for index, (block, layer) in enumerate(zip(blocks, layers, strict=True)):
        wanted = {
            "in_channels": layer.in_channels,
            "out_channels": layer.out_channels,
            "kernel_size": layer.kernel,
            "stride": layer.stride,
            "mid_channels": layer.mid_channels,
            "use_se": layer.se,
        }
        for key, value in wanted.items():
            found = block.get(key)
            if found != value and not (key == "mid_channels" and found is None):
                msg = f"blocks[{index}].{key} is {found}; in the nat space it is {value}"
                raise InputError(msg)


def _check_norm(content: Mapping[str, Any]) -> None:
    if "bn" not in content:
        return
    eps = _get(_get(content, "bn", Mapping), "eps", int | float, "bn")
    if not math.isclose(eps, _BN_EPS):
        msg = f"bn.eps is {eps}; in the nat space it is {_BN_EPS}"
        raise InputError(msg)


def _activation(blocks: Sequence[Mapping[str, Any]]) -> str | None:
    kinds = {str(block.get("act_func")) for block in blocks}
    if kinds <= {"relu", "h_swish"}:
        return None
    if kinds == {"mish"}:
        return "mish"
    msg = f"act_func: the blocks have {', '.join(sorted(kinds))}; they must have mish everywhere, or relu and h_swish"
    raise InputError(msg)
