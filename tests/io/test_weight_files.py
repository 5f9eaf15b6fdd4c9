"""Files that can hold weights, told by their first bytes."""

import re

import pytest
import torch

from natdeploy import api
from natdeploy.core.architecture import smallest
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import Subnet, write_subnet
from natdeploy.io.weight_files import read_metadata, require_weight_file
from natdeploy.supernet.checkpoints import write_state

STATE = {"a": torch.zeros(2)}


def test_weight_files_are_known_by_their_beginning(tmp_path):
    """Safetensors files and checkpoints of new and old torch can hold weights."""
    write_state(tmp_path / "a.safetensors", STATE)
    torch.save(STATE, tmp_path / "b.pth")
    torch.save(STATE, tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    for name in ("a.safetensors", "b.pth", "c.pth"):
        require_weight_file(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"root:x:0:0:root:/root:/bin/bash", b"{}", b"\xff" * 8 + b"{"])
def test_other_files_are_refused(tmp_path, content):
    """Text, an empty file and a header longer than its file are no weights, and `inspect` says so."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    space = find_space("starter")
    subnet = Subnet(space=space, architecture=smallest(space), classes=1000, weights=path)
    write_subnet(tmp_path / "subnet.json", subnet)
    with pytest.raises(
        InputError, match=rf"{re.escape(str(path))}: is neither a safetensors file nor a torch checkpoint"
    ):
        api.inspect(tmp_path / "subnet.json")


def test_metadata_are_read_without_the_tensors(tmp_path):
    """They come back as written; a file without has none, a torch checkpoint neither, and a damaged file is named."""
    write_state(tmp_path / "a.safetensors", STATE, {"task": "text"})
    write_state(tmp_path / "b.safetensors", STATE)
    torch.save(STATE, tmp_path / "c.pth")
    found = [read_metadata(tmp_path / name) for name in ("a.safetensors", "b.safetensors", "c.pth")]
    assert found == [{"task": "text"}, {}, {}]
    (tmp_path / "a.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"a\.safetensors: not a readable safetensors file"):
        read_metadata(tmp_path / "a.safetensors")
