"""Reads and writes subnet.json, and reads architectures in the other layouts in use.

These are the NAT authors' bare `{"ks", "e", "d", "r", "w"}`, their `net.config`, their string of 23 characters, and
OFA's lists padded to 20 entries.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from natdeploy.core.architecture import Architecture, check_member, largest, smallest
from natdeploy.core.checked import check_fields
from natdeploy.core.layers import Layer, walk
from natdeploy.core.ranges import Positive, Resolution
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.files import write_text
from natdeploy.io.encodings import from_encoding
from natdeploy.io.netconfig import NetConfig, read_net_config
from natdeploy.io.space_files import describe_space, parse_space
from natdeploy.io.spaces import find_space, find_space_of
from natdeploy.io.subnet_keys import (
    FORMAT,
    ArchitectureKeys,
    SubnetFile,
    describe_layer,
    parse_object,
    read_layers,
    validate,
)
from natdeploy.io.subnet_lookalikes import refuse_lookalike
from natdeploy.readers import WEIGHT_BYTES, read_text, require_file

DEFAULT_CLASSES = 1000
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
            return {"supernet": None, "architecture": None, "layers": [describe_layer(layer) for layer in self.layers]}
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Completion:
    """What is given for an architecture that does not state it; see `read_subnet`."""

    supernet: Space = None
    width: float | None = None
    resolution: int | None = None
    classes: int | None = None


def read_subnet(
    source: str | Path,
    *,
    supernet: str | None = None,
    width: float | None = None,
    resolution: int | None = None,
    classes: int | None = None,
) -> Subnet:
    """Read a subnet or a bare architecture.

    Args:
        source: A file, a 23-character encoding, or `smallest` or `largest` of the space that is named.
        supernet: Name or file of the search space of a bare architecture. None: the one that contains it.
        width: Width multiplier of an architecture whose file has none.
        resolution: Height and width of the input images of a network whose file does not state them.
        classes: Number of classes of a bare architecture.

    Raises:
        InputError: The file is unreadable, truncated or of the wrong type, the width or the resolution is unknown, or
            the architecture is not in the space. The message states file, key and reason.
    """
    read = _read(source, _Completion(supernet=supernet, width=width, resolution=resolution, classes=classes))
    if width is not None and read.architecture is not None and not math.isclose(width, read.architecture.width):
        msg = f"{source}: the architecture has width {read.architecture.width:g}, not {width:g}"
        raise InputError(msg)
    if resolution not in (None, read.resolution):
        msg = f"{source}: the network has resolution {read.resolution}, not {resolution}"
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
        resolution: Height and width of the input images of a network whose file does not state them.
        classes: Number of classes of a bare architecture.
        weights: File with the weights of a bare architecture or a `net.config`.

    Raises:
        InputError: A value has the wrong type.
    """

    source: str | Path
    _: dataclasses.KW_ONLY
    supernet: str | None = None
    width: float | None = None
    resolution: Resolution | None = None
    classes: Positive | None = None
    weights: Path | None = None

    def __post_init__(self) -> None:
        check_fields(self)

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
        given = (self.supernet, self.width, self.resolution, self.classes, self.weights)
        return any(value is not None for value in given)

    def read(self) -> Subnet:
        """Read the subnet.

        Raises:
            InputError: The subnet is not valid. Or its classifier has weights for another number of classes. Or weights
                are given although the subnet has its own.
        """
        read = read_subnet(
            self.source,
            supernet=self.supernet,
            width=self.width,
            resolution=self.resolution,
            classes=self.classes,
        )
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


def _read(source: str | Path, given: _Completion) -> Subnet:
    path = Path(source)
    if str(source) in _ENDS and not path.exists():
        return _end_of(str(source), given)
    if re.fullmatch(r"\d+", str(source)) and not os.path.exists(source):  # noqa: PTH110 (any length of string)
        return _bare(from_encoding(str(source)), given, str(source))
    refuse_lookalike(path)
    text = read_text(path).strip()
    try:
        if re.fullmatch(r"\d+", text):
            return _bare(from_encoding(text), given, str(path))
        return _from_content(parse_object(text), path, given)
    except InputError as error:
        prefix = "" if str(path) in error.message else f"{path}: "
        raise InputError(prefix + error.message, hint=error.hint) from error


def _end_of(end: str, given: _Completion) -> Subnet:
    if given.supernet is None:
        msg = f"{end}: no file has this name, and no supernet is named whose {end} architecture it could be"
        raise InputError(msg, hint="name the supernet with --supernet")
    space = _find(given.supernet)
    widths = space.widths if given.width is None else (space.widths[space.width_index(given.width)],)
    architecture = _ENDS[end](dataclasses.replace(space, widths=widths))
    if given.resolution is not None:
        architecture = dataclasses.replace(architecture, resolution=given.resolution)
    return Subnet(space=space, architecture=architecture, classes=given.classes or DEFAULT_CLASSES, source=end)


def read_architecture(text: str, space: SearchSpace, *, classes: int | None = None) -> Subnet:
    """Read an architecture of `space` from text: a 23-character encoding, or JSON in any layout that a file may have.

    Its resolution need not be one of the space.

    Raises:
        InputError: As for `read_subnet`, or the text has another space.
    """
    given = _Completion(supernet=space, classes=classes)
    if re.fullmatch(r"\d+", text):
        read = _bare(from_encoding(text), given, text)
    else:
        read = _from_content(parse_object(text), Path(), given)
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


def _from_content(content: dict[str, Any], path: Path, given: _Completion) -> Subnet:
    if "format" in content:
        return _from_file(content, path)
    if "blocks" in content:
        return _from_net_config(read_net_config(content, given.resolution), given, str(path))
    if "architecture" in content or "layers" in content:
        msg = f"format is missing: a subnet file has the key format with the value {FORMAT!r}"
        raise InputError(msg)
    if isinstance(content.get("wid"), float) and "w" not in content:
        # Once-for-All's own name of the width. A whole number could be the place of a width in a list.
        content = {**content, "w": content["wid"], "wid": None}
    known = {key: content[key] for key in ArchitectureKeys.model_fields if key in content}
    odd = sorted(set(content) - set(known))
    if odd:
        msg = f"not a subnet: unknown key {odd[0]!r}"
        raise InputError(msg)
    return _bare(_architecture(validate(ArchitectureKeys, known), given), given, str(path))


def _from_net_config(config: NetConfig, given: _Completion, source: str) -> Subnet:
    classes = given.classes or config.classes
    if config.architecture is not None:
        completed = dataclasses.replace(given, supernet=given.supernet or config.space, classes=classes)
        found = _bare(config.architecture, completed, source)
        return dataclasses.replace(found, activation=config.activation, dropout=config.dropout)
    if given.supernet is not None:
        msg = f"the network is in no search space, so not in {_find(given.supernet).name}"
        raise InputError(msg)
    return Subnet(own_layers=config.layers, classes=classes, dropout=config.dropout, source=source)


def _from_file(content: dict[str, Any], path: Path) -> Subnet:
    file = validate(SubnetFile, content)
    network = _read_network(file, path)
    weights = None if file.weights is None else path.resolve().parent / file.weights
    if weights is not None:
        _require_weights(weights)
    classes = network.own_layers[-1].out_channels if network.own_layers else DEFAULT_CLASSES
    return dataclasses.replace(
        network,
        classes=len(file.task.classes) if file.task else file.network.classes or classes,
        weights=weights,
        task=file.task.model_dump(exclude_none=True) if file.task else None,
        activation=file.network.activation,
        dropout=file.network.dropout,
        metrics=file.metrics,
        provenance=file.provenance,
        source=str(path),
    )


def _require_weights(weights: Path) -> None:
    try:
        require_file(weights, WEIGHT_BYTES)
    except InputError as error:
        msg = f"weights: {error.message}"
        raise InputError(msg) from error


def _read_network(file: SubnetFile, path: Path) -> Subnet:
    """Return a subnet with the space and architecture of a file, or with its layers."""
    if file.layers is not None:
        for key in ("supernet", "architecture", "space"):
            if getattr(file, key) is not None:
                msg = f"{key}: a file with layers of its own has none"
                raise InputError(msg)
        layers = read_layers(file.layers)
        return Subnet(own_layers=layers, classes=layers[-1].out_channels)
    if file.supernet is None or file.architecture is None:
        key, kind = ("supernet", "text") if file.supernet is None else ("architecture", "a table of keys")
        msg = f"{key}: must be {kind} in a file without layers"
        raise InputError(msg)
    if file.space is not None:
        source = str(path.resolve())
        space = parse_space(file.space, name=file.supernet, source=source, place="space")
    else:
        space = find_space(file.supernet)
    architecture = _architecture(file.architecture, _Completion(supernet=space))
    check_member(space, architecture)
    return Subnet(space=space, architecture=architecture, classes=DEFAULT_CLASSES)


def _find(supernet: str | SearchSpace) -> SearchSpace:
    return supernet if isinstance(supernet, SearchSpace) else find_space(supernet)


def _architecture(model: ArchitectureKeys, given: _Completion) -> Architecture:
    width = model.w if model.w is not None else given.width
    if width is None and given.supernet is not None and len(_find(given.supernet).widths) == 1:
        width = _find(given.supernet).widths[0]
    if width is None:
        msg = "w is missing: the architecture does not state its width"
        raise InputError(msg, hint="pass it with --width, or name a supernet with a single width with --supernet")
    resolution = model.r[0] if isinstance(model.r, list) else model.r or given.resolution
    if resolution is None:
        msg = "r is missing: the architecture does not state the size of its input images"
        raise InputError(msg, hint="pass it with --resolution")
    kernels, expand_ratios = (_active(values, model.d) for values in (model.ks, model.e))
    return Architecture(
        resolution=resolution,
        width=width,
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


def _bare(architecture: Architecture, given: _Completion, source: str) -> Subnet:
    space = _find(given.supernet) if given.supernet else find_space_of(architecture)
    check_member(space, architecture)
    return Subnet(space=space, architecture=architecture, classes=given.classes or DEFAULT_CLASSES, source=source)
