"""Where a supernet is trained and evaluated: on a GPU in mixed precision where there is one, else on the CPU."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from natdeploy.machine import available_bytes

CPU = torch.device("cpu")


def accelerator() -> torch.device:
    """Return the device to compute on."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else CPU


def place_of(module: nn.Module) -> torch.device:
    """Return the device that the weights of `module` are on."""
    return next(module.parameters()).device


def free_bytes(device: torch.device) -> int:
    """Return the memory that can be taken on `device`, and on the CPU, which everything comes from, as well."""
    free = available_bytes()
    return min(free, torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else free


def precision(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Compute in bfloat16 where that loses nothing that matters; on a CPU in float32 throughout."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return `tensor` on `device`; nobody waits for a GPU that is still busy."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
