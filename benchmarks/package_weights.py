"""Write the weights of a supernet in 16 bits, as they are packaged: half the size, and read as float32 again.

    python benchmarks/package_weights.py RUN/supernet.safetensors natdeploy/weights/NAME.safetensors

The metadata stays, and with it the task of the classifier. It prints the size, the SHA-256 and the largest rounding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from natdeploy.errors import InputError
from natdeploy.io.supernet_weights import compute_sha256
from natdeploy.supernet.checkpoints import read_state, write_state
from natdeploy.supernet.weight_files import read_metadata


def package_weights(source: Path, output: Path) -> float:
    """Write `source` in 16 bits as `output`, and return the largest rounding relative to the largest value of a tensor.

    Raises:
        InputError: A value is too large for 16 bits.
    """
    state, rounding = read_state(source), 0.0
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            continue
        state[name] = tensor.half()
        if not state[name].isfinite().all():
            msg = f"{source}: {name} has a value of {float(tensor.abs().max()):.4g}, too large for 16 bits"
            raise InputError(msg)
        largest = tensor.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
        rounding = max(rounding, float((state[name].float() - tensor).abs().max() / largest))
    write_state(output, state, read_metadata(source))
    return rounding


if __name__ == "__main__":
    target = Path(sys.argv[2])
    error = package_weights(Path(sys.argv[1]), target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, sha256 {compute_sha256(target)}, rounded by {error:.1e}")
