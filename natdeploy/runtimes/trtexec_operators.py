"""Operators of an engine from its profile. The name of a layer tells which module it computes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from natdeploy.core.operators import ModelProfile, Node
from natdeploy.errors import InputError
from natdeploy.runtimes.trtexec_files import LayerInfo, LayerTime

REFORMAT = "Reformat"
_COPY = re.compile(r"^Reformat| copy$", re.IGNORECASE)
_SHUFFLE = re.compile(
    r"\[Shuffle\]|^(?:copied_)?(?:un)?(?:squeeze|reshape|shuffle|transpose)(?:_make_node)?_(?:before|after|between)_",
    re.IGNORECASE,
)
_FOREIGN = re.compile(r"ForeignNode\[(.+?)\.\.\.(.+)\]")
_MYELIN = re.compile(r"^__my")
_PARTS = re.compile(r" \+ | \|\| |, ")
_WRAPPER = re.compile(r"^(?:PWN\(|\{|\()+|[)}]+$")
_WHOLE_PERCENT = 1.0


def make_operator_profile(layers: Sequence[LayerTime], infos: Sequence[LayerInfo] = ()) -> ModelProfile:
    """Return the layers of an engine as operators of a single run, with their median times, or means without medians.

    The operator of a fused layer has the names of all parts. The first name that contains a module comes first, so the
    owner is found as for any other operator. A layer that only moves data has no name from the model. Each layer
    counts as the consumer of the layer before it, so data movement is charged to the next layer that computes.

    Args:
        layers: The profile.
        infos: Layer information, if available. Newer versions list in it the ONNX nodes that a layer computes.

    Raises:
        InputError: Rows are missing. Or a layer computes several modules, or does not show which, so its time cannot be
            split between them.
    """
    _check_complete(layers)
    known = {info.name: info for info in infos}
    if infos and not any(layer.name in known for layer in layers):
        msg = f"the layer info belongs to another engine: it has no layer {layers[0].name!r}"
        raise InputError(msg)
    nodes = tuple(
        _make_node(layer.name, known.get(layer.name), place, last=place == len(layers) - 1)
        for place, layer in enumerate(layers)
    )
    times = [layer.mean_ms if layer.median_ms is None else layer.median_ms for layer in layers]
    return ModelProfile(nodes=nodes, times_us=np.array([times], dtype=np.float64) * 1e3)


def find_module(name: str) -> str | None:
    """Return the module at the start of an ONNX node's name, None if there is none.

    `/stem/conv/Conv` belongs to `stem`, and `/blocks/blocks.3/depthwise/conv/Conv` to `blocks.3`: the second scope is
    the member of a list if it begins with the name of the list.
    """
    scopes = name.strip("/").split("/") if name.startswith("/") else []
    if len(scopes) < 2:
        return None
    return scopes[1] if scopes[1].startswith(f"{scopes[0]}.") else scopes[0]


def _check_complete(layers: Sequence[LayerTime]) -> None:
    total = sum(layer.percent for layer in layers)
    if abs(total - 100) > _WHOLE_PERCENT:
        msg = f"the layers of the profile add up to {total:.1f} % of its time: rows are missing"
        raise InputError(msg)


def _make_node(name: str, info: LayerInfo | None, place: int, *, last: bool) -> Node:
    parts = _split_name(name, info)
    kind = info.kind if info else ""
    return Node(
        name=" + ".join(_move_module_name_first(parts)) if parts else REFORMAT,
        op=kind if parts else REFORMAT,
        consumers=() if last else (place + 1,),
    )


def _split_name(name: str, info: LayerInfo | None) -> list[str]:
    """Return the names of the nodes that a layer computes, or an empty list if it only moves data."""
    if _COPY.search(name):
        return []
    foreign = _FOREIGN.search(name)
    if foreign or _MYELIN.match(name):
        return _require_one_module(
            name, info.onnx_names if info and info.onnx_names else foreign.groups() if foreign else ()
        )
    return [_WRAPPER.sub("", part) for part in _PARTS.split(name) if not _SHUFFLE.search(part)]


def _require_one_module(name: str, parts: Sequence[str]) -> list[str]:
    if not parts:
        msg = f"layer {name!r} does not show which part of the network it computes"
        hint = "build the engine with --profilingVerbosity=detailed and pass the layer info, or fit whole networks"
        raise InputError(msg, hint=hint)
    modules = sorted({find_module(part) or part for part in parts})
    if len(modules) > 1 or not find_module(parts[0]):
        msg = f"layer {name!r} computes several modules at once ({', '.join(modules)}): its time cannot be split"
        raise InputError(msg, hint="fit a table to the times of whole networks instead")
    return list(parts)


def _move_module_name_first(parts: Sequence[str]) -> list[str]:
    first = next((part for part in parts if find_module(part)), parts[0])
    return [first, *(part for part in parts if part != first)]
