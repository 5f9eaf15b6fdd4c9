"""Reads and writes subnet.json, and reads architectures in the other layouts in use.

These are the NAT authors' bare `{"ks", "e", "d", "r", "w"}`, their `net.config`, their string of 23 characters, and
OFA's lists padded to 20 entries.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from natdeploy.core.architecture import Architecture, check_member, largest, smallest
from natdeploy.core.layers import CLASSIFIER, STEM, Layer, walk
from natdeploy.core.space import BN_EPS, SearchSpace
from natdeploy.errors import InputError
from natdeploy.files import read_text, write_text
from natdeploy.io.encodings import from_encoding
from natdeploy.io.netconfig import NetConfig, read_net_config
from natdeploy.io.space_files import describe_space, parse_space
from natdeploy.io.spaces import find_space, find_space_of

FORMAT = "natdeploy.subnet/1"
DEFAULT_CLASSES = 1000
_Ints = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"{twice!r} is listed twice"
        raise ValueError(msg)
    return names


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Architecture(_Strict):
    w: Annotated[float, Field(gt=0)] | None = None
    r: Annotated[int, Field(ge=32, le=4096)] | Annotated[list[int], Field(min_length=1, max_length=1)]
    d: _Ints
    e: Annotated[list[Annotated[int, Field(ge=1)] | Annotated[float, Field(ge=1)]], Field(min_length=1)]
    ks: _Ints
    wid: None = None


class _Task(_Strict):
    dataset: str
    classes: Annotated[list[str], Field(min_length=2), AfterValidator(_distinct)]
    # Statistics of pixels between 0 and 1. A deviation of 1/255 scales them to 0 to 255.
    mean: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=3, max_length=3)]
    std: Annotated[list[Annotated[float, Field(ge=1e-3, le=1)]], Field(min_length=3, max_length=3)]


class _Network(_Strict):
    classes: Annotated[int, Field(ge=1, le=10**6)] | None = None
    activation: Literal["mish"] | None = None
    dropout: Annotated[float, Field(ge=0, le=1)] = 0.0


class _Layer(_Strict):
    op: Literal["stem", "block", "final_expand", "pooling", "feature_mix", "classifier"]
    in_size: Annotated[int, Field(ge=1, le=4096)]
    in_channels: Annotated[int, Field(ge=1)]
    out_channels: Annotated[int, Field(ge=1)]
    mid_channels: Annotated[int, Field(ge=0)] = 0
    kernel: Annotated[int, Field(ge=1, le=15)] = 1
    stride: Literal[1, 2] = 1
    se: bool = False
    activation: Literal["relu", "relu6", "h_swish", "silu", "mish", "none"] = "none"
    skip: bool = False
    padding: Literal["symmetric", "same"] = "symmetric"
    squeeze_channels: Annotated[int, Field(ge=0)] = 0
    bias: bool = False
    bn_eps: Annotated[float, Field(gt=0, lt=1)] = BN_EPS


class _File(_Strict):
    format: Literal["natdeploy.subnet/1"]
    supernet: str | None
    architecture: _Architecture | None
    space: dict[str, Any] | None = None
    layers: Annotated[list[_Layer], Field(min_length=3)] | None = None
    weights: str | None
    task: _Task | None
    network: _Network = _Network()
    metrics: dict[str, Any] = {}
    provenance: dict[str, Any] = {}


_Model = TypeVar("_Model", bound=BaseModel)
_Number = TypeVar("_Number", int, float)
Space = str | SearchSpace | None
# Words for two architectures of a space that is named.
_ENDS: Mapping[str, Callable[[SearchSpace], Architecture]] = {"smallest": smallest, "largest": largest}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subnet:
    """A network and the other contents of its subnet file.

    The network is an architecture of a space, or consists of layers that belong to no space.

    Args:
        space: Search space of the architecture.
        architecture: The architecture.
        own_layers: The layers of a network without a space and an architecture.
        classes: Number of outputs of the classifier.
        weights: Weight file. None for a bare architecture.
        task: `dataset`, `classes`, `mean` and `std`. None if the file names no task.
        activation: Activation that replaces all others. None: the activations of the space.
        dropout: Dropout rate before the classifier.
        metrics: Metrics in the file.
        provenance: Origin of the subnet.
        source: The file, or the encoding that was passed instead.
    """

    space: SearchSpace | None = None
    architecture: Architecture | None = None
    own_layers: tuple[Layer, ...] = ()
    classes: int
    weights: Path | None = None
    task: Mapping[str, Any] | None = None
    activation: str | None = None
    dropout: float = 0.0
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    source: str = ""

    @functools.cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the network, from input to output."""
        if self.space is None or self.architecture is None:
            return (*self.own_layers[:-1], dataclasses.replace(self.own_layers[-1], out_channels=self.classes))
        return walk(self.space, self.architecture, self.classes, activation=self.activation)

    @property
    def resolution(self) -> int:
        """Height and width of the input images."""
        return self.layers[0].in_size

    def describe(self) -> dict[str, Any]:
        """Return supernet, architecture and layers under the keys of a subnet file."""
        if self.space is None or self.architecture is None:
            return {"supernet": None, "architecture": None, "layers": [_describe_layer(layer) for layer in self.layers]}
        shipped = self.space.source in ("", self.space.name)
        return {
            "supernet": self.space.name,
            "architecture": self.architecture.to_json(),
            # A file may be read where the file of its space is not.
            **({} if shipped else {"space": describe_space(self.space)}),
        }

    def require_member(self) -> tuple[SearchSpace, Architecture]:
        """Return space and architecture.

        Raises:
            InputError: The network is in no space.
        """
        if self.space is None or self.architecture is None:
            msg = f"{self.source}: the network is in no search space: it has layers, but no architecture"
            raise InputError(msg, hint="it can be inspected, measured and exported")
        return self.space, self.architecture


def read_subnet(
    source: str | Path, *, supernet: str | None = None, width: float | None = None, classes: int | None = None
) -> Subnet:
    """Read a subnet or a bare architecture.

    Args:
        source: A file, a 23-character encoding, or `smallest` or `largest` of the space that is named.
        supernet: Name or file of the search space of a bare architecture. None: the one that contains it.
        width: Width multiplier of an architecture whose file has none.
        classes: Number of classes of a bare architecture.

    Raises:
        InputError: The file is unreadable, truncated or of the wrong type, the width is unknown, or the architecture is
            not in the space. The message states file, key and reason.
    """
    read = _read(source, supernet=supernet, width=width, classes=classes)
    if width is not None and read.architecture is not None and not math.isclose(width, read.architecture.width):
        msg = f"{source}: the architecture has width {read.architecture.width:g}, not {width:g}"
        raise InputError(msg)
    return read


@dataclasses.dataclass(frozen=True)
class SubnetSource:
    """The source of a subnet, and the values that complete a bare architecture.

    Functions that take a subnet also accept a path or an encoding.

    Args:
        source: A file, a 23-character encoding, or `smallest` or `largest` of the space that is named.
        supernet: Name or file of the search space of a bare architecture. None: the one that contains it.
        width: Width multiplier of an architecture whose file has none.
        classes: Number of classes of a bare architecture.
        weights: File with the weights of a bare architecture or a `net.config`.
    """

    source: str | Path
    _: dataclasses.KW_ONLY
    supernet: str | None = None
    width: float | None = None
    classes: int | None = None
    weights: Path | None = None

    @classmethod
    def of(cls, subnet: str | Path | SubnetSource) -> SubnetSource:
        """Return `subnet` itself, or the source of a path or an encoding."""
        return subnet if isinstance(subnet, SubnetSource) else cls(subnet)

    @property
    def path(self) -> Path:
        """The source as a path."""
        return Path(self.source)

    @property
    def completed(self) -> bool:
        """Whether any value besides the source is given."""
        return (self.supernet, self.width, self.classes, self.weights) != (None, None, None, None)

    def read(self) -> Subnet:
        """Read the subnet.

        Raises:
            InputError: The subnet is not valid. Or its classifier has weights for another number of classes. Or weights
                are given although the subnet has its own.
        """
        read = read_subnet(self.source, supernet=self.supernet, width=self.width, classes=self.classes)
        if self.weights is not None:
            if read.weights is not None:
                msg = f"{read.source}: it has its own weights, {read.weights}: other weights cannot be given"
                raise InputError(msg)
            read = dataclasses.replace(read, weights=self.weights)
        if self.classes is None or self.classes == read.classes:
            return read
        if read.task is not None or read.weights is not None:
            msg = f"{read.source}: the subnet has {read.classes} classes, not {self.classes}"
            raise InputError(msg)
        return dataclasses.replace(read, classes=self.classes)


def _read(source: str | Path, *, supernet: Space, width: float | None, classes: int | None) -> Subnet:
    path = Path(source)
    if str(source) in _ENDS and not path.exists():
        return _end_of(supernet, str(source), width, classes)
    if re.fullmatch(r"\d+", str(source)) and not os.path.exists(source):  # noqa: PTH110 (any length of string)
        return _bare(from_encoding(str(source)), supernet, classes, str(source))
    text = read_text(path).strip()
    try:
        if re.fullmatch(r"\d+", text):
            return _bare(from_encoding(text), supernet, classes, str(path))
        return _from_content(_parse_json(text), path, supernet=supernet, width=width, classes=classes)
    except InputError as error:
        prefix = "" if str(path) in error.message else f"{path}: "
        raise InputError(prefix + error.message, hint=error.hint) from error


def _end_of(supernet: Space, end: str, width: float | None, classes: int | None) -> Subnet:
    if supernet is None:
        msg = f"{end}: no file has this name, and no supernet is named whose {end} architecture it could be"
        raise InputError(msg, hint="name the supernet with --supernet")
    space = _find(supernet)
    widths = space.widths if width is None else (space.widths[space.width_index(width)],)
    architecture = _ENDS[end](dataclasses.replace(space, widths=widths))
    return Subnet(space=space, architecture=architecture, classes=classes or DEFAULT_CLASSES, source=end)


def read_architecture(text: str, space: SearchSpace, *, classes: int | None = None) -> Subnet:
    """Read an architecture of `space` from text: a 23-character encoding, or JSON in any layout that a file may have.

    Its resolution need not be one of the space.

    Raises:
        InputError: As for `read_subnet`, or the text has another space.
    """
    if re.fullmatch(r"\d+", text):
        read = _bare(from_encoding(text), space, classes, text)
    else:
        read = _from_content(_parse_json(text), Path(), supernet=space, width=None, classes=classes)
    check_member(space, read.require_member()[1])
    return read


def write_subnet(path: Path, subnet: Subnet) -> None:
    """Write `subnet.json` atomically. It names the weight file by its relative path.

    Raises:
        OutputError: The file cannot be written.
    """
    weights = None
    if subnet.weights is not None:
        weights = os.path.relpath(subnet.weights.resolve(), path.resolve().parent)
    content = {
        "format": FORMAT,
        **subnet.describe(),
        "weights": weights,
        "task": dict(subnet.task) if subnet.task is not None else None,
        **_network_key(subnet),
        "metrics": dict(subnet.metrics),
        "provenance": dict(subnet.provenance),
    }
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _network_key(subnet: Subnet) -> dict[str, Any]:
    """Return the key `network`, with properties that neither architecture nor task state; empty if there are none."""
    own_classes = subnet.task is None and subnet.classes != DEFAULT_CLASSES
    kept = {
        **({"classes": subnet.classes} if own_classes else {}),
        **({"activation": subnet.activation} if subnet.activation else {}),
        **({"dropout": subnet.dropout} if subnet.dropout else {}),
    }
    return {"network": kept} if kept else {}


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not a number of JSON"
    raise ValueError(msg)


def _parse_json(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        msg = f"not valid JSON: {error}"
        raise InputError(msg) from error
    if not isinstance(content, dict):
        msg = f"a subnet is a JSON object, not {type(content).__name__}"
        raise InputError(msg)
    return content


def _from_content(
    content: dict[str, Any], path: Path, *, supernet: Space, width: float | None, classes: int | None
) -> Subnet:
    if "format" in content:
        return _from_file(content, path)
    if "blocks" in content:
        return _from_net_config(read_net_config(content), supernet, classes, str(path))
    known = {key: content[key] for key in _Architecture.model_fields if key in content}
    odd = sorted(set(content) - set(known))
    if odd:
        msg = f"not a subnet: unknown key {odd[0]!r}"
        raise InputError(msg)
    architecture = _architecture(_validate(_Architecture, known), supernet=supernet, width=width)
    return _bare(architecture, supernet, classes, str(path))


def _from_net_config(config: NetConfig, supernet: Space, classes: int | None, source: str) -> Subnet:
    if config.architecture is not None:
        found = _bare(config.architecture, supernet or config.space, classes or config.classes, source)
        return dataclasses.replace(found, activation=config.activation, dropout=config.dropout)
    if supernet is not None:
        msg = f"the network is in no search space, so not in {_find(supernet).name}"
        raise InputError(msg)
    return Subnet(own_layers=config.layers, classes=classes or config.classes, dropout=config.dropout, source=source)


def _from_file(content: dict[str, Any], path: Path) -> Subnet:
    file = _validate(_File, content)
    network = _read_network(file, path)
    weights = None if file.weights is None else path.resolve().parent / file.weights
    if weights is not None and not os.path.isfile(weights):  # noqa: PTH113 (any length of string)
        msg = f"weights: {weights}: no such file"
        raise InputError(msg)
    classes = network.own_layers[-1].out_channels if network.own_layers else DEFAULT_CLASSES
    return dataclasses.replace(
        network,
        classes=len(file.task.classes) if file.task else file.network.classes or classes,
        weights=weights,
        task=file.task.model_dump() if file.task else None,
        activation=file.network.activation,
        dropout=file.network.dropout,
        metrics=file.metrics,
        provenance=file.provenance,
        source=str(path),
    )


def _read_network(file: _File, path: Path) -> Subnet:
    """Return a subnet with the space and architecture of a file, or with its layers."""
    if file.layers is not None:
        for key in ("supernet", "architecture", "space"):
            if getattr(file, key) is not None:
                msg = f"{key}: a file with layers of its own has none"
                raise InputError(msg)
        layers = tuple(Layer(**layer.model_dump()) for layer in file.layers)
        _require_network(layers)
        return Subnet(own_layers=layers, classes=layers[-1].out_channels)
    if file.supernet is None or file.architecture is None:
        key, kind = ("supernet", "valid string") if file.supernet is None else ("architecture", "valid dictionary")
        msg = f"{key}: should be a {kind} in a file without layers"
        raise InputError(msg)
    if file.space is not None:
        source = str(path.resolve())
        space = parse_space(file.space, name=file.supernet, source=source, place="space")
    else:
        space = find_space(file.supernet)
    architecture = _architecture(file.architecture, supernet=space, width=None)
    check_member(space, architecture)
    return Subnet(space=space, architecture=architecture, classes=DEFAULT_CLASSES)


def _require_network(layers: Sequence[Layer]) -> None:
    """Check that layers follow each other from a stem to a classifier."""
    if (layers[0].op, layers[-1].op) != (STEM, CLASSIFIER):
        msg = f"layers: begin with {layers[0].op} and end with {layers[-1].op}, not with a stem and a classifier"
        raise InputError(msg)
    for number, (before, layer) in enumerate(itertools.pairwise(layers), start=1):
        if (layer.in_channels, layer.in_size) != (before.out_channels, before.out_size):
            msg = (
                f"layers[{number}]: takes {layer.in_channels} channels of size {layer.in_size}; "
                f"the layer before it gives {before.out_channels} of size {before.out_size}"
            )
            raise InputError(msg)


def _describe_layer(layer: Layer) -> dict[str, Any]:
    return {
        field.name: getattr(layer, field.name)
        for field in dataclasses.fields(layer)
        if getattr(layer, field.name) != field.default
    }


def _find(supernet: str | SearchSpace) -> SearchSpace:
    return supernet if isinstance(supernet, SearchSpace) else find_space(supernet)


def _architecture(model: _Architecture, *, supernet: Space, width: float | None) -> Architecture:
    known = model.w if model.w is not None else width
    if known is None and supernet is not None and len(_find(supernet).widths) == 1:
        known = _find(supernet).widths[0]
    if known is None:
        msg = "w is missing: the architecture does not state its width"
        raise InputError(msg, hint="pass it with --width, or name a supernet with a single width with --supernet")
    kernels, expand_ratios = (_active(values, model.d) for values in (model.ks, model.e))
    return Architecture(
        resolution=model.r[0] if isinstance(model.r, list) else model.r,
        width=known,
        depths=tuple(model.d),
        kernels=kernels,
        expand_ratios=expand_ratios,
    )


def _active(values: list[_Number], depths: list[int]) -> tuple[_Number, ...]:
    """Drop the padding of OFA's lists, which have four entries per stage."""
    padded = 4 * len(depths)
    if len(values) != padded or sum(depths) == padded or max(depths) > 4:
        return tuple(values)
    return tuple(value for place, value in enumerate(values) if place % 4 < depths[place // 4])


def _bare(architecture: Architecture, supernet: Space, classes: int | None, source: str) -> Subnet:
    space = _find(supernet) if supernet else find_space_of(architecture)
    check_member(space, architecture)
    return Subnet(space=space, architecture=architecture, classes=classes or DEFAULT_CLASSES, source=source)


def _validate(model: type[_Model], content: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        given = "" if first["type"] == "missing" else f" (it is {json.dumps(first['input'], default=str)[:60]})"
        msg = f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}{given}"
        raise InputError(msg) from error
