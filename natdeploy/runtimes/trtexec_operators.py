"""The operators of an engine, from its profile: which modules each layer computes, as far as its name tells."""

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
    """Return the layers of an engine as operators, with one run: their medians, or means where there are none.

    The name of a fused layer holds those of all its parts, with the first that names a module in front, so that its
    owner is found as for any other operator. A layer that only moves data has no name of the model's; each layer
    counts as the consumer of the one before it, so that it goes to the next one that computes something.

    Args:
        layers: The profile.
        infos: What the layers are, where it is known: newer versions tell in it which ONNX nodes a layer computes.

    Raises:
        InputError: Rows are missing; or a layer covers several modules, or hides which, so that nobody can tell what
            each of them takes.
    """
    _check_complete(layers)
    known = {info.name: info for info in infos}
    if infos and not any(layer.name in known for layer in layers):
        msg = f"the layer info is of another engine: it has no layer {layers[0].name!r}"
        raise InputError(msg)
    nodes = tuple(
        _make_node(layer.name, known.get(layer.name), place, last=place == len(layers) - 1)
        for place, layer in enumerate(layers)
    )
    times = [layer.mean_ms if layer.median_ms is None else layer.median_ms for layer in layers]
    return ModelProfile(nodes=nodes, times_us=np.array([times], dtype=np.float64) * 1e3)


def find_module(name: str) -> str | None:
    """Return the module that an ONNX node's name begins with, None where it names none.

    `/stem/conv/Conv` is of `stem`, `/blocks/blocks.3/depthwise/conv/Conv` of `blocks.3`: a list's members are told by
    the name of the list.
    """
    scopes = name.strip("/").split("/") if name.startswith("/") else []
    if len(scopes) < 2:
        return None
    return scopes[1] if scopes[1].startswith(f"{scopes[0]}.") else scopes[0]


def _check_complete(layers: Sequence[LayerTime]) -> None:
    total = sum(layer.percent for layer in layers)
    if abs(total - 100) > _WHOLE_PERCENT:
        msg = f"the layers of the profile make up {total:.1f} % of its time: rows are missing"
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
    """Return the names of the nodes that a layer computes, none if it only moves data."""
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
        msg = f"layer {name!r} does not tell which part of the network it computes"
        hint = "build the engine with --profilingVerbosity=detailed and give the layer info, or fit whole networks"
        raise InputError(msg, hint=hint)
    modules = sorted({find_module(part) or part for part in parts})
    if len(modules) > 1 or not find_module(parts[0]):
        msg = f"layer {name!r} computes several modules at once ({', '.join(modules)}): its time cannot be split"
        raise InputError(msg, hint="fit a table to the times of whole networks instead")
    return list(parts)


def _move_module_name_first(parts: Sequence[str]) -> list[str]:
    first = next((part for part in parts if find_module(part)), parts[0])
    return [first, *(part for part in parts if part != first)]
