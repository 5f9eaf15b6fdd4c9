"""Networks that were pretrained elsewhere, as the largest network of a supernet.

Every network of inverted-residual blocks applies the same kinds of modules in the same order. A layout says how its
names are put into this order, whatever the order in the file is.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from natdeploy.documents import parse_whole_number
from natdeploy.errors import InputError
from natdeploy.supernet.elastic import ElasticNetwork

Place = tuple[int | str, ...]
_COUNTER = "num_batches_tracked"
_LITE_UNITS = ("expand_conv", "bn0", "depthwise_conv", "bn1", "project_conv", "bn2")
_LITE_ENDS = {"_conv_stem": (0, 0), "_bn0": (0, 1), "_conv_head": (2, 0), "_bn1": (2, 1), "_fc": (3, 0)}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How the tensors of pretrained networks are named.

    Args:
        name: Name in messages.
        first: Name of the first convolution, by which the layout is recognized.
        locate: Maps the name of a module to its place in the forward pass, or None if it has none.
        mean: Mean of each colour channel that the network was trained with, for pixels between 0 and 1.
        std: Standard deviation of each colour channel.
    """

    name: str
    first: str
    locate: Callable[[str], Place | None]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def _locate_lite(module: str) -> Place | None:
    if module in _LITE_ENDS:
        return _LITE_ENDS[module]
    block = re.fullmatch(r"_blocks\.([0-9]{1,4})\._(\w+)", module)
    if block is None or block[2] not in _LITE_UNITS:
        return None
    return 1, int(block[1]), _LITE_UNITS.index(block[2])


def _locate_torchvision(module: str) -> Place | None:
    part, *rest = module.split(".")
    if part not in ("features", "classifier"):
        return None
    # Numbers and the names fc1 and fc2, which stand in the order of the forward pass. A number never meets a name.
    numbers = [parse_whole_number(piece) for piece in rest]
    return int(part == "classifier"), *(
        piece if number is None else number for piece, number in zip(rest, numbers, strict=True)
    )


LAYOUTS = (
    Layout(
        name="EfficientNet-Lite",
        first="_conv_stem.weight",
        locate=_locate_lite,
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
    ),
    Layout(
        name="torchvision",
        first="features.0.0.weight",
        locate=_locate_torchvision,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
)


def find_layout(state: Mapping[str, Tensor], source: str) -> Layout:
    """Return the layout of a pretrained network.

    Args:
        state: Its tensors.
        source: Their file, for messages.

    Raises:
        InputError: The layout is not known.
    """
    for layout in LAYOUTS:
        if layout.first in state:
            return layout
    known = ", ".join(f"{layout.name} ({layout.first})" for layout in LAYOUTS)
    msg = f"{source}: the names of its tensors are of no known layout; they begin with {next(iter(state), 'nothing')!r}"
    raise InputError(msg, hint=f"known layouts, by a name that they contain: {known}")


def count_outputs(state: Mapping[str, Tensor], layout: Layout, source: str) -> int:
    """Return the number of classes of a pretrained network.

    Raises:
        InputError: It has no classifier.
    """
    *_, (name, tensors) = _order_modules(state, layout, source)
    if "bias" not in tensors or tensors["weight"].ndim != 2:
        msg = f"{source}: its last module, {name}, is no classifier"
        raise InputError(msg)
    return len(tensors["weight"])


def load_pretrained(engine: ElasticNetwork, state: Mapping[str, Tensor], source: str) -> None:
    """Copy a pretrained network into the weights of an elastic network, whose largest network it becomes.

    Args:
        engine: Elastic network.
        state: Tensors of the pretrained network, in one of the known layouts.
        source: Their file, for messages.

    Raises:
        InputError: The layout is not known, or the largest network of the space is another one. The message names the
            first module that differs.
    """
    modules = _order_modules(state, find_layout(state, source), source)
    own = [
        (name, part)
        for name, part in engine.named_modules()
        if isinstance(part, nn.Conv2d | nn.BatchNorm2d | nn.Linear)
    ]
    space = engine.space.name
    with torch.no_grad():
        for (own_name, part), (name, tensors) in zip(own, modules, strict=False):
            wanted = {key: tensor for key, tensor in part.state_dict().items() if key != _COUNTER}
            if wanted.keys() != tensors.keys():
                parts = f"{', '.join(tensors)}, where {own_name} of space {space} has {', '.join(wanted)}"
                msg = f"{source}: {name} has {parts}"
                raise InputError(msg, hint=_explain(space))
            for key, target in wanted.items():
                given = tensors[key]
                # A linear layer before the classifier is a 1x1 convolution here.
                if target.shape not in (given.shape, (*given.shape, 1, 1)):
                    shapes = f"{tuple(given.shape)}, where {own_name} of space {space} has {tuple(target.shape)}"
                    msg = f"{source}: {name}.{key} has shape {shapes}"
                    raise InputError(msg, hint=_explain(space))
                target.copy_(given.reshape(target.shape))
    if len(own) != len(modules):
        msg = f"{source}: has {len(modules)} convolutions, BatchNorms and linear layers; space {space} has {len(own)}"
        raise InputError(msg, hint=_explain(space))


def _order_modules(state: Mapping[str, Tensor], layout: Layout, source: str) -> list[tuple[str, dict[str, Tensor]]]:
    """Return the tensors of each module, in the order of the forward pass."""
    modules: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in state.items():
        module, _, key = name.rpartition(".")
        if key != _COUNTER:
            modules[module][key] = tensor
    places: dict[str, Place] = {}
    for module in modules:
        place = layout.locate(module)
        if place is None:
            msg = f"{source}: {module} belongs to no {layout.name} network of inverted-residual blocks"
            raise InputError(msg)
        places[module] = place
    return [(module, modules[module]) for module in sorted(modules, key=places.__getitem__)]


def _explain(space: str) -> str:
    return (
        f"the largest network of {space} must be the pretrained one: --supernet lite has EfficientNet-Lite0, "
        "others are described in a space file of your own"
    )
