"""The keys of a subnet file, and their checks."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from natdeploy.core.layers import BLOCK, CLASSIFIER, OPS, POOLING, STEM, Layer
from natdeploy.core.space import BN_EPS
from natdeploy.documents import find_repeated, parse_json
from natdeploy.errors import InputError, did_you_mean
from natdeploy.io.python_repr import parse_python
from natdeploy.io.validation import find_fault

FORMAT = "natdeploy.subnet/1"
_Model = TypeVar("_Model", bound=BaseModel)
_Channels = Annotated[int, Field(ge=1, le=100_000)]
_Ints = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]


def _distinct(names: list[str]) -> list[str]:
    twice = find_repeated(names)
    if twice is not None:
        msg = f"{twice!r} is listed twice"
        raise ValueError(msg)
    return names


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class ArchitectureKeys(_Strict):
    """The keys of an architecture, in subnet files and in bare ones."""

    w: Annotated[float, Field(gt=0)] | None = None
    r: Annotated[int, Field(ge=32, le=4096)] | Annotated[list[int], Field(min_length=1, max_length=1)] | None = None
    d: _Ints
    e: Annotated[list[Annotated[int, Field(ge=1)] | Annotated[float, Field(ge=1)]], Field(min_length=1)]
    ks: _Ints
    wid: None = None


class TaskKeys(_Strict):
    """The keys of a task, in subnet files and in the metadata of a supernet's weights."""

    dataset: str
    classes: Annotated[list[str], Field(min_length=2), AfterValidator(_distinct)]
    # Statistics of pixels between 0 and 1. A deviation of 1/255 scales them to 0 to 255.
    mean: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=3, max_length=3)]
    std: Annotated[list[Annotated[float, Field(ge=1e-3, le=1)]], Field(min_length=3, max_length=3)]
    images: str | None = None
    levels: Annotated[list[Annotated[int, Field(ge=0, le=0xFFFF)]], Field(min_length=2, max_length=2)] | None = None


class _Network(_Strict):
    classes: Annotated[int, Field(ge=1, le=10**6)] | None = None
    activation: Literal["mish"] | None = None
    dropout: Annotated[float, Field(ge=0, le=1)] = 0.0


class LayerKeys(_Strict):
    """The keys of a layer of a network that is in no search space."""

    op: Literal["stem", "block", "final_expand", "pooling", "feature_mix", "classifier"]
    in_size: Annotated[int, Field(ge=1, le=4096)]
    in_channels: _Channels
    out_channels: Annotated[int, Field(ge=1, le=10**6)]
    mid_channels: Annotated[int, Field(ge=0, le=100_000)] = 0
    kernel: Annotated[int, Field(ge=1, le=15)] = 1
    stride: Literal[1, 2] = 1
    se: bool = False
    activation: Literal["relu", "relu6", "h_swish", "silu", "mish", "none"] = "none"
    skip: bool = False
    padding: Literal["symmetric", "same"] = "symmetric"
    squeeze_channels: Annotated[int, Field(ge=0, le=100_000)] = 0
    bias: bool = False
    bn_eps: Annotated[float, Field(gt=0, lt=1)] = BN_EPS


class SubnetFile(_Strict):
    """The keys of a subnet file."""

    format: Literal["natdeploy.subnet/1"]
    supernet: str | None
    architecture: ArchitectureKeys | None
    space: dict[str, Any] | None = None
    layers: Annotated[list[LayerKeys], Field(min_length=3)] | None = None
    weights: str | None
    task: TaskKeys | None
    network: _Network = _Network()
    metrics: dict[str, Any] = {}
    provenance: dict[str, Any] = {}


def parse_object(text: str) -> dict[str, Any]:
    """Return the JSON object that is written in `text`, or the dictionary as Python prints it.

    Raises:
        InputError: The text is neither.
    """
    try:
        content = parse_json(text)
    except ValueError as error:
        content = _parse_printed(text)
        if content is None:
            msg = f"not valid JSON: {error}"
            raise InputError(msg) from error
    if not isinstance(content, dict):
        msg = f"a subnet is a JSON object, not {type(content).__name__}"
        raise InputError(msg)
    return content


def _parse_printed(text: str) -> Any:  # noqa: ANN401
    """Return a dictionary that Python printed, as finders of architectures do; None if the text is no such one."""
    if not text.lstrip().startswith(("{'", "OrderedDict(")):
        return None
    try:
        return parse_python(text)
    except ValueError as error:
        msg = f"neither JSON nor a dictionary that Python printed: {error}"
        raise InputError(msg) from error


def validate(model: type[_Model], content: Mapping[str, Any]) -> _Model:
    """Return the content of a file as a model.

    Raises:
        InputError: A value is missing, unknown or of the wrong type. The message names the key.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        fault = find_fault(error, content)
        known = list(model.model_fields) if len(fault.parts) == 1 else []
        hint = did_you_mean(str(fault.parts[0]), known) if fault.kind == "extra_forbidden" and known else None
        raise InputError(str(fault), hint=hint) from error


def read_layers(keys: Sequence[LayerKeys]) -> tuple[Layer, ...]:
    """Return the layers of a file.

    Raises:
        InputError: They make no network. The message names the layer.
    """
    layers = tuple(Layer(**layer.model_dump()) for layer in keys)
    _check_order(layers)
    for number, layer in enumerate(layers):
        _check_block(layer, f"layers[{number}]")
    for number, (before, layer) in enumerate(itertools.pairwise(layers), start=1):
        if (layer.in_channels, layer.in_size) != (before.out_channels, before.out_size):
            msg = (
                f"layers[{number}]: takes {layer.in_channels} channels of size {layer.in_size}; "
                f"the layer before it gives {before.out_channels} of size {before.out_size}"
            )
            raise InputError(msg)
    return layers


def _check_order(layers: Sequence[Layer]) -> None:
    ops = [layer.op for layer in layers if layer.op != BLOCK]
    places = [OPS.index(layer.op) for layer in layers]
    if places != sorted(places) or len(set(ops)) < len(ops) or not {STEM, POOLING, CLASSIFIER} <= {*ops}:
        msg = f"layers: are {', '.join(ops)} and blocks, not a stem, blocks, pooling and a classifier in this order"
        raise InputError(msg)


def _check_block(layer: Layer, place: str) -> None:
    if layer.kernel % 2 == 0:
        msg = f"{place}: its kernel is {layer.kernel}, not an odd number"
        raise InputError(msg)
    if layer.op == BLOCK and layer.mid_channels == 0:
        msg = f"{place}: a block needs mid_channels"
        raise InputError(msg)
    if layer.skip and (layer.stride, layer.in_channels) != (1, layer.out_channels):
        msg = f"{place}: has a skip connection, but its output is of another shape than its input"
        raise InputError(msg)


def describe_layer(layer: Layer) -> dict[str, Any]:
    """Return the keys of a layer whose values are not the usual ones."""
    return {
        field.name: getattr(layer, field.name)
        for field in dataclasses.fields(layer)
        if getattr(layer, field.name) != field.default
    }
