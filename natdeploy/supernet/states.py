"""Finds the tensors of a network in what a checkpoint contains, and checks them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from natdeploy.errors import InputError

_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COUNTER, _VARIANCE = "num_batches_tracked", "running_var"
# Keys that programs give the weights of the one network of a checkpoint, the preferred first. Moving averages of the
# weights come first, as in timm.
_AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_KEYS = (*_AVERAGES, "state_dict", "model_state_dict", "model", "supernet", "net", "network", "module", "weights")
_OTHER_STATES = ("optim", "sched", "scaler", "criterion", "loss", "metric")
_DEPTH = 3
# What wrappers put before or into the names of tensors: DataParallel, Lightning's modules, torch.compile, FSDP and
# activation checkpoints.
_PREFIXES = ("module.", "model.", "net.", "network.", "backbone.")
_WRAPPERS = ("_orig_mod.", "_forward_module.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
# How the names of networks begin that are read here. A first part that all names share is another wrapper's otherwise.
_BEGINNINGS = re.compile(r"engines|stem|first_conv|blocks|final_expand.*|feature_mix.*|features|classifier|_.*|\d+")
# A tensor of torch's AveragedModel beside those of the network.
_AVERAGED = "n_averaged"


def find_state(content: object, source: str, inform: Callable[[str], object] | None = None) -> dict[str, Tensor]:
    """Return the named tensors of the network in a checkpoint: those at its top, or under one of the usual keys.

    Args:
        content: Content of the checkpoint.
        source: Its file, for messages.
        inform: Is told which of several states is returned.

    Raises:
        InputError: There is none, or more than one that could be meant.
    """
    states = _list_states(content)
    if not states:
        msg = f"{source}: not a checkpoint: expected a mapping of names to tensors; {_describe(content)}"
        raise InputError(msg, hint="save the weights of the network: torch.save(model.state_dict(), FILE)")
    known = sorted((place for place in states if _rank(place) < len(_KEYS)), key=_rank)
    if not known and len(states) > 1:
        keys = ", ".join(repr(".".join(place)) for place in list(states)[:5])
        msg = f"{source}: contains the weights of several networks: {keys}"
        raise InputError(msg, hint="save the weights of one of them alone: torch.save(model.state_dict(), FILE)")
    chosen = known[0] if known else next(iter(states))
    _refuse_twins(states[chosen], source)
    if inform is not None and len(states) > 1:
        others = ", ".join(repr(".".join(place)) for place in states if place != chosen)
        inform(f"{source}: the weights under {'.'.join(chosen)!r} are read, not those under {others}")
    return {name: tensor.detach() for name, tensor in states[chosen].items()}


def _refuse_twins(state: Mapping[str, Tensor], source: str) -> None:
    """Refuse a mapping whose names are those of two or more equal networks, such as a student and its teacher."""
    inner: dict[str, set[str]] = {}
    for name in state:
        first, _, rest = name.partition(".")
        inner.setdefault(first, set()).add(rest)
    one, *others = inner.values()
    known = any(_BEGINNINGS.fullmatch(name) for name in inner)
    if others and len(one) > 1 and all(other == one for other in others) and not known:
        msg = f"{source}: contains the weights of several networks: {', '.join(repr(name) for name in inner)}"
        raise InputError(msg, hint="save the weights of one of them alone: torch.save(model.state_dict(), FILE)")


def strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state by the names that it has without wrappers such as DataParallel, Lightning and torch.compile."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        short = _strip(name)
        # Of two tensors that would get one name, none loses its own.
        renamed[name if short in renamed else short] = tensor
    if len(renamed) < len(state):
        return dict(state)
    if any(name.startswith("module.") for name in state):
        renamed.pop(_AVERAGED, None)
    first = {name.partition(".")[0] for name in renamed if "." in name}
    if len(first) == 1 and all("." in name for name in renamed) and not _BEGINNINGS.fullmatch(next(iter(first))):
        # The attribute of a module of Lightning may have any name.
        return strip_prefixes({name.partition(".")[2]: tensor for name, tensor in renamed.items()})
    return renamed


def _strip(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    while prefix := next((known for known in _PREFIXES if name.startswith(known)), ""):
        name = name.removeprefix(prefix)
    return name


def require_sound(state: Mapping[str, Tensor], source: str) -> None:
    """Check that the tensors of a network can be its weights.

    Raises:
        InputError: A tensor is of the wrong type, contains a value that is no finite number, or a negative variance;
            the message names it. Or all weights are 0.
    """
    for name, tensor in state.items():
        kind = _find_other_kind(name, tensor)
        if kind:
            msg = f"{source}: {kind}"
            raise InputError(
                msg, hint="save plain tensors of float32, from the network before it was quantized or pruned"
            )
        fault = _find_fault(name, tensor)
        if fault:
            msg = f"{source}: {fault}"
            raise InputError(msg, hint="the file is damaged, or the training that wrote it had diverged: use another")
    kernels = [tensor for tensor in state.values() if tensor.ndim > 1]
    if kernels and not any(bool(tensor.any()) for tensor in kernels):
        msg = f"{source}: every weight is 0, as in a moving average that was never updated"
        raise InputError(msg, hint="use another file, or save the weights that were trained")


def find_infinite(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of a tensor that contains a value that is no finite number, or None."""
    return next((name for name, tensor in state.items() if not _is_finite(tensor)), None)


def _find_other_kind(name: str, tensor: Tensor) -> str | None:
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        return f"{name} is {'quantized' if tensor.is_quantized else 'sparse or empty'}, not a plain tensor"
    counts = name.endswith(_COUNTER) and tensor.dtype == torch.int64
    if tensor.dtype not in _TYPES and not counts:
        return f"{name} is of type {str(tensor.dtype).removeprefix('torch.')}: weights are {_list_types()}"
    return None


def _find_fault(name: str, tensor: Tensor) -> str | None:
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"{name} has shape {tuple(tensor.shape)}, but the file contains fewer values"
    if not _is_finite(tensor):
        return f"contains values that are not finite numbers, in {name}"
    if name.endswith(_VARIANCE) and bool((tensor < 0).any()):
        return f"contains negative variances, in {name}"
    return None


def _is_finite(tensor: Tensor) -> bool:
    # A float64 value may be too large for float32, which networks compute with.
    return bool((tensor.float() if tensor.dtype == torch.float64 else tensor).isfinite().all())


def _list_types() -> str:
    *most, last = (str(kind).removeprefix("torch.") for kind in _TYPES)
    return f"{', '.join(most)} or {last}"


def _list_states(content: object, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], Mapping[str, Tensor]]:
    """Return the mappings of names to tensors in a checkpoint, by the keys that lead to them."""
    if not isinstance(content, Mapping) or len(place) > _DEPTH:
        return {}
    if content and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()):
        return {place: content}
    found: dict[tuple[str, ...], Mapping[str, Tensor]] = {}
    for key, value in content.items():
        if isinstance(key, str) and not any(word in key.lower() for word in _OTHER_STATES):
            found |= _list_states(value, (*place, key))
    return found


def _rank(place: tuple[str, ...]) -> int:
    """Return how usual the keys are under which a state is; the number of usual keys if none of them is one."""
    return min((_KEYS.index(key) for key in place if key in _KEYS), default=len(_KEYS) if place else 0)


def _describe(content: Any) -> str:  # noqa: ANN401
    """Return what a checkpoint without a state contains instead."""
    if not isinstance(content, Mapping):
        return f"it is of type {type(content).__name__}"
    key = next((key for key in _KEYS if isinstance(content.get(key), Mapping)), None)
    inner, where = (content, "") if key is None else (content[key], f"{key}.")
    for name, value in inner.items():
        if not isinstance(name, str):
            return f"its key {where}{name} is of type {type(name).__name__}"
        if not isinstance(value, Tensor):
            return f"{where}{name} is of type {type(value).__name__}"
    return "it is empty"
