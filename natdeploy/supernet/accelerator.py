"""Where a supernet is trained and evaluated: on a GPU in mixed precision where there is one, else on the CPU."""

from __future__ import annotations

import contextlib

import torch
from torch import nn


def accelerator() -> torch.device:
    """Return the device to compute on."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def place_of(module: nn.Module) -> torch.device:
    """Return the device that the weights of `module` are on."""
    return next(module.parameters()).device


def precision(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Compute in bfloat16 where that loses nothing that matters; on a CPU in float32 throughout."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
