"""Reads a `net.config` of once-for-all or ProxylessNAS, which describes a network layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from natdeploy.core.architecture import Architecture, smallest
from natdeploy.core.layers import BLOCK, CLASSIFIER, FEATURE_MIX, FINAL_EXPAND, POOLING, STEM, Layer, walk
from natdeploy.core.space import ACTIVATIONS, BN_EPS, SearchSpace
from natdeploy.errors import InputError, require_known
from natdeploy.io.spaces import find_space

# The key of the input size in files of the NAT authors, of MCUNet, and of Once-for-All's run.config.
_SIZE_KEYS = ("img_size", "resolution", "image_size")
# The space whose architectures the NAT authors and OFA write as a net.config.
_SPACE = "nat"
# Convolutions after the blocks. Some files leave them empty.
_TAIL = {"final_expand_layer": FINAL_EXPAND, "feature_mix_layer": FEATURE_MIX}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NetConfig:
    """The network that a `net.config` describes.

    Args:
        layers: Its layers, from input to output.
        dropout: Dropout rate before the classifier.
        space: The space that contains it. None: it is in no known space.
        architecture: Its architecture in the space.
        activation: `mish` if every block uses it. None if the blocks use the activations of the space.
    """

    layers: tuple[Layer, ...]
    dropout: float
    space: SearchSpace | None = None
    architecture: Architecture | None = None
    activation: str | None = None

    @property
    def classes(self) -> int:
        """Number of outputs of the classifier."""
        return self.layers[-1].out_channels


def read_net_config(content: Mapping[str, Any], resolution: int | None = None) -> NetConfig:
    """Read the parsed JSON of a `net.config`.

    Args:
        content: The JSON object.
        resolution: Height and width of the input images, for a file that does not state them.

    Raises:
        InputError: A key is missing or of the wrong type, or a layer does not fit the one before it. The message names
            the key. Or neither the file nor `resolution` says how large the images are.
    """
    resolution = _read_resolution(content, resolution)
    classifier = _get(content, "classifier", Mapping)
    dropout = _get(classifier, "dropout_rate", int | float, "classifier")
    _require_within("classifier.dropout_rate", dropout, 0, 1)
    completed = _complete(content)
    layers = _read_layers(completed, resolution)
    for activation in (None, "mish"):
        architecture = _find_architecture(layers, find_space(_SPACE), activation)
        if architecture is not None:
            return NetConfig(
                layers=layers,
                dropout=float(dropout),
                space=find_space(_SPACE),
                architecture=architecture,
                activation=activation,
            )
    if completed != content:
        msg = f"{', '.join(key for key in _TAIL if content[key] == {})}: empty, and the network is in no search space"
        raise InputError(msg, hint="write out_channels there")
    return NetConfig(layers=layers, dropout=float(dropout))


def _complete(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a description with the sizes of empty convolutions: those of the space's networks with the same stem."""
    space, empty = find_space(_SPACE), [key for key in _TAIL if content.get(key) == {}]
    for width in space.widths if empty else ():
        layers = {layer.op: layer for layer in walk(space, dataclasses.replace(smallest(space), width=width), 1000)}
        if _get(content, "first_conv", Mapping).get("out_channels") == layers[STEM].out_channels:
            return {**content, **{key: {"out_channels": layers[_TAIL[key]].out_channels} for key in empty}}
    return content


def _read_resolution(content: Mapping[str, Any], given: int | None) -> int:
    sizes = {key: _get(content, key, int) for key in _SIZE_KEYS if key in content}
    for key, size in sizes.items():
        _require_within(key, size, 32, 4096)
    if len(set(sizes.values())) > 1:
        msg = "the file states several input sizes: " + ", ".join(f"{key} {size}" for key, size in sizes.items())
        raise InputError(msg)
    size = next(iter(sizes.values()), given)
    if size is None:
        msg = "img_size is missing: the network does not state the size of its input images"
        raise InputError(msg, hint="pass it with --resolution; Once-for-All has it in run.config, as image_size")
    return size


def _read_layers(content: Mapping[str, Any], resolution: int) -> tuple[Layer, ...]:
    eps = _get(_get(content, "bn", Mapping), "eps", int | float, "bn") if "bn" in content else BN_EPS
    if not 0 < eps < 1:
        msg = f"bn.eps is {eps}, not between 0 and 1"
        raise InputError(msg)
    first, blocks = _get(content, "first_conv", Mapping), _read_blocks(content)
    # Activation of layers that do not state one.
    usual = "mish" if all("mish" in str(block) for block in blocks) else "h_swish"
    layers = [
        Layer(
            op=STEM,
            in_size=resolution,
            in_channels=3,
            out_channels=_read_count(first, "out_channels", "first_conv"),
            kernel=_read_kernel(first, "first_conv", 3),
            stride=_read_stride(first, "first_conv", 2),
            activation=_read_activation(first, "first_conv", usual),
            bn_eps=eps,
        )
    ]
    for index, block in enumerate(blocks):
        layers += _read_block(block, f"blocks[{index}]", layers[-1], eps)
    return (*layers, *_read_tail(content, layers[-1], eps, usual))


def _read_blocks(content: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    blocks: list[Any] = _get(content, "blocks", list)
    for index, block in enumerate(blocks):
        if not isinstance(block, Mapping):
            msg = f"blocks[{index}]: expected an object, not {type(block).__name__}"
            raise InputError(msg)
    if len(blocks) < 2:
        msg = f"blocks: lists {len(blocks)} blocks; there must be the fixed block and at least one more"
        raise InputError(msg)
    return blocks


def _read_block(block: Mapping[str, Any], where: str, before: Layer, eps: float) -> list[Layer]:
    """Return the layer of a block, or none if the block only passes its input on."""
    # The present once-for-all calls it `conv`, older files `mobile_inverted_conv`.
    key = "conv" if "conv" in block else "mobile_inverted_conv"
    conv = _get(block, key, Mapping, where)
    shortcut = block.get("shortcut") is not None
    if conv.get("name") == "ZeroLayer" and shortcut:
        return []
    in_channels = _read_count(conv, "in_channels", where)
    _require_chain(in_channels, before, f"{where}.in_channels")
    out_channels, stride = _read_count(conv, "out_channels", where), _read_stride(conv, where)
    if shortcut and (stride != 1 or in_channels != out_channels):
        msg = f"{where}: has a shortcut, but its output is of another shape than its input"
        raise InputError(msg)
    return [
        Layer(
            op=BLOCK,
            in_size=before.out_size,
            in_channels=in_channels,
            out_channels=out_channels,
            mid_channels=_read_mid_channels(conv, where, in_channels),
            kernel=_read_kernel(conv, where),
            stride=stride,
            se=_get(conv, "use_se", bool, where) if "use_se" in conv else False,
            activation=_read_activation(conv, where, "relu"),
            skip=shortcut,
            bn_eps=eps,
        )
    ]


def _read_tail(content: Mapping[str, Any], before: Layer, eps: float, usual: str) -> list[Layer]:
    """Return the layers after the blocks. Only MobileNetV3 has its feature mix behind the pooling."""
    expand, mix = content.get("final_expand_layer"), content.get("feature_mix_layer")
    size, channels = before.out_size, before.out_channels
    layers = []
    where, conv = ("final_expand_layer", expand) if expand is not None else ("feature_mix_layer", mix)
    if conv is not None:
        layers.append(
            Layer(
                op=FINAL_EXPAND,
                in_size=size,
                in_channels=channels,
                out_channels=_read_pointwise(conv, where, before),
                activation=_read_activation(conv, where, usual),
                bn_eps=eps,
            )
        )
        channels = layers[-1].out_channels
    layers.append(Layer(op=POOLING, in_size=size, in_channels=channels, out_channels=channels))
    if expand is not None and mix is not None:
        layers.append(
            Layer(
                op=FEATURE_MIX,
                in_size=1,
                in_channels=channels,
                out_channels=_read_pointwise(mix, "feature_mix_layer", layers[-1]),
                activation=_read_activation(mix, "feature_mix_layer", usual),
                bias=_get(mix, "bias", bool, "feature_mix_layer") if "bias" in mix else False,
            )
        )
    classifier = content["classifier"]
    classes = _get(classifier, "out_features", int, "classifier")
    _require_within("classifier.out_features", classes, 1, 10**6)
    if "in_features" in classifier:
        _require_chain(_read_count(classifier, "in_features", "classifier"), layers[-1], "classifier.in_features")
    return [*layers, Layer(op=CLASSIFIER, in_size=1, in_channels=layers[-1].out_channels, out_channels=classes)]


def _read_pointwise(conv: Any, where: str, before: Layer) -> int:  # noqa: ANN401
    """Return the output channels of a 1x1 convolution."""
    if not isinstance(conv, Mapping):
        msg = f"{where}: wrong type {type(conv).__name__}"
        raise InputError(msg)
    if _read_kernel(conv, where, 1) != 1 or _read_stride(conv, where) != 1:
        msg = f"{where}: must have kernel 1 and stride 1"
        raise InputError(msg)
    if "in_channels" in conv:
        _require_chain(_read_count(conv, "in_channels", where), before, f"{where}.in_channels")
    return _read_count(conv, "out_channels", where)


def _find_architecture(layers: Sequence[Layer], space: SearchSpace, activation: str | None) -> Architecture | None:
    """Return the architecture of `space` that has these layers, or None if there is none."""
    blocks = [layer for layer in layers if layer.op == BLOCK][1:]
    depths: list[int] = []
    for block in blocks:
        if block.skip and depths:
            depths[-1] += 1
        else:
            depths.append(1)
    choices: set[float] = {ratio for stage in space.stages for ratios in stage.expand_ratios for ratio in ratios}
    ratios = [
        next((ratio for ratio in choices if block.mid_channels == round(block.in_channels * ratio)), 0.0)
        for block in blocks
    ]
    for width in space.widths:
        architecture = Architecture(
            resolution=layers[0].in_size,
            width=width,
            depths=tuple(depths),
            kernels=tuple(block.kernel for block in blocks),
            expand_ratios=tuple(ratios),
        )
        try:
            same = walk(space, architecture, layers[-1].out_channels, activation=activation) == tuple(layers)
        except InputError:
            continue
        if same and all(layer.bn_eps == space.bn_eps for layer in layers):
            return architecture
    return None


def _get(content: Mapping[str, Any], key: str, kind: Any, where: str = "") -> Any:  # noqa: ANN401
    place = f"{where}.{key}" if where else key
    if key not in content:
        msg = f"{place}: missing"
        raise InputError(msg)
    value = content[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        msg = f"{place}: wrong type {type(value).__name__}"
        raise InputError(msg)
    return value


def _require_within(place: str, value: float, low: int, high: int) -> None:
    if not low <= value <= high:
        msg = f"{place} is {value}, not between {low} and {high}"
        raise InputError(msg)


def _require_chain(channels: int, before: Layer, place: str) -> None:
    if channels != before.out_channels:
        msg = f"{place} is {channels}; the layer before it gives {before.out_channels}"
        raise InputError(msg)


def _read_count(content: Mapping[str, Any], key: str, where: str) -> int:
    value: int = _get(content, key, int, where)
    _require_within(f"{where}.{key}", value, 1, 100_000)
    return value


def _read_kernel(conv: Mapping[str, Any], where: str, usual: int | None = None) -> int:
    value: int = usual if usual is not None and "kernel_size" not in conv else _get(conv, "kernel_size", int, where)
    if value % 2 == 0 or not 1 <= value <= 15:
        msg = f"{where}.kernel_size is {value}, not an odd number from 1 to 15"
        raise InputError(msg)
    return value


def _read_stride(conv: Mapping[str, Any], where: str, usual: int = 1) -> int:
    value: int = _get(conv, "stride", int, where) if "stride" in conv else usual
    _require_within(f"{where}.stride", value, 1, 2)
    return value


def _read_activation(conv: Mapping[str, Any], where: str, usual: str) -> str:
    value = conv.get("act_func", usual)
    if value is None:
        return "none"
    name = {"swish": "silu"}.get(str(value), str(value))
    require_known(f"{where}.act_func", name, ACTIVATIONS)
    return name


def _read_mid_channels(conv: Mapping[str, Any], where: str, in_channels: int) -> int:
    if conv.get("mid_channels") is not None:
        return _read_count(conv, "mid_channels", where)
    ratio: float = _get(conv, "expand_ratio", int | float, where)
    _require_within(f"{where}.expand_ratio", ratio, 1, 64)
    return round(in_channels * ratio)
