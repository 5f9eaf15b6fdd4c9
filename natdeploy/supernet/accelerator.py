"""The device that a supernet is trained and evaluated on: a GPU in mixed precision if there is one, else the CPU."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from natdeploy.machine import available_bytes

CPU = torch.device("cpu")


def choose_device() -> torch.device:
    """Return the GPU of this process if there is one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else CPU


def get_device(module: nn.Module) -> torch.device:
    """Return the device that the weights of `module` are on."""
    return next(module.parameters()).device


def measure_free_bytes(device: torch.device) -> int:
    """Return the memory that is free on `device`, and at most what is free on the CPU, where all data comes from."""
    free = available_bytes()
    return min(free, torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else free


def autocast(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Compute in mixed precision with bfloat16 on a GPU, and in float32 on a CPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return `tensor` on `device`. The copy to a GPU does not wait for work that is still running there."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
