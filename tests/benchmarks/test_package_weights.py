"""The script that writes weights as they are packaged."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from natdeploy.errors import InputError
from natdeploy.supernet.checkpoints import read_state, write_state
from natdeploy.supernet.weight_files import read_metadata

package_weights = importlib.import_module("benchmarks.package_weights").package_weights


def test_weights_are_rounded_to_16_bits_and_keep_their_metadata(tmp_path: Path) -> None:
    """Floats are halved, counters are not; the rounding is told; what 16 bits cannot hold is refused by name."""
    state = {"weight": torch.linspace(-3, 3, 1001), "bn.num_batches_tracked": torch.tensor(7)}
    source, target = tmp_path / "w.safetensors", tmp_path / "packaged.safetensors"
    write_state(source, state, {"task": "text"})
    rounding = package_weights(source, target)
    read = read_state(target)
    assert torch.equal(read["weight"], state["weight"].half().float())
    assert 0 < rounding < 2**-10
    assert (int(read["bn.num_batches_tracked"]), read_metadata(target)) == (7, {"task": "text"})
    assert target.stat().st_size < 0.7 * source.stat().st_size
    write_state(source, {"weight": torch.tensor([1e5])})
    with pytest.raises(InputError, match="weight has a value of 1e\\+05, too large for 16 bits"):
        package_weights(source, target)
