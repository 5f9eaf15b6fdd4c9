"""Finding search spaces by name, by file, and by what is in them."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import natdeploy
from natdeploy.core.architecture import largest, smallest
from natdeploy.core.cost import madds_array, params_array, peak_memory_array, size_array
from natdeploy.core.genotype import decode, sample
from natdeploy.core.layers import walk
from natdeploy.errors import InputError
from natdeploy.io.encodings import to_encoding
from natdeploy.io.space_files import compute_space_hash
from natdeploy.io.spaces import find_recorded_space, find_space, find_space_of, list_spaces, shipped_spaces
from natdeploy.supernet.supernet import Supernet
from tests.io.test_space_files import PLAIN

# Computed when these spaces were values in the code: genotypes, architectures, encodings, layers and costs.
RECORDED = {
    "ofa-mbv3-w1.0": "2fbbfe9832d8c8f2 34a3b7d760707089 c2c245cbd471d5b3 703318716d50fefc 1a91bd11f189b9ae",
    "ofa-mbv3-w1.2": "2fbbfe9832d8c8f2 c655d67c39825f8c 71ff4812d6ff8151 1bbcb9146e106c40 b391e7c2087aba68",
    "nat": "fa79d76b91c0398b 75a5ea90379cbe19 06ba07eb63d46f11 821e04a2030cfd95 79989402bdfcb53c",
    "starter": "0bbb0f73a3238979 c945b2a844b98536 874c491ea97ea8c6 6b2390622e3afbcf 622f9b5059ca15e3",
}
SHAPE = ("op", "in_size", "in_channels", "out_channels", "mid_channels", "kernel", "stride")
FIELDS = (*SHAPE, "se", "activation", "skip")
LOGITS = (
    ([-2.6783, 0.6228, -1.1051, -3.6831], [-2.8517, 0.1202, -0.7405, -3.369]),
    ([0.4906, -0.8102, -0.2172, 0.071], [0.4028, -0.5722, -0.0642, -0.2037]),
    ([0.9793, -0.06, -0.4707, -1.4592], [1.0263, 0.0928, -0.7209, -1.5275]),
)


def digest(value):
    """Return the beginning of a hash of JSON."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", RECORDED)
def test_the_first_spaces_are_what_they_were(name):
    """Sampled genotypes, their architectures, encodings, layers and costs are those from before spaces were files."""
    space = find_space(name)
    rows = sample(space, 200, np.random.default_rng(7))
    architectures = [decode(space, row) for row in rows]
    layers = [[[getattr(layer, f) for f in FIELDS] for layer in walk(space, a, 10)] for a in architectures[:40]]
    costs = [cost(space, 10)(rows).tolist() for cost in (madds_array, params_array, peak_memory_array, size_array)]
    found = (
        rows.tolist(),
        [architecture.to_json() for architecture in architectures],
        [to_encoding(architecture) for architecture in architectures],
        layers,
        costs,
    )
    assert RECORDED[name].split() == [digest(value) for value in found]
    assert {(layer.padding, layer.squeeze_channels, layer.bias) for layer in walk(space, largest(space), 10)} == {
        ("symmetric", 0, False)
    }


def test_the_packaged_weights_give_what_they_gave():
    """Supernet and subnets with the packaged weights have the outputs from before spaces were files."""
    space, generator = find_space("starter"), torch.Generator().manual_seed(0)
    supernet = Supernet(space, 100).eval()
    assert supernet.load_weights(Path(natdeploy.__file__).parent / "weights" / "starter.safetensors")
    for row, (elastic, plain) in zip(sample(space, 3, np.random.default_rng(7)), LOGITS, strict=True):
        architecture = decode(space, row)
        size = architecture.resolution
        images = torch.randn(2, 3, size, size, generator=generator)
        with torch.inference_mode():
            found = supernet(images, architecture)[0, :4], supernet.extract(architecture).eval()(images)[1, :4]
        torch.testing.assert_close(found[0], torch.tensor(elastic), rtol=0, atol=2e-3)
        torch.testing.assert_close(found[1], torch.tensor(plain), rtol=0, atol=2e-3)


def test_shipped_spaces_are_found_by_name():
    """Each shipped space has the name of its file, and is found by it again."""
    assert {*RECORDED, "lite"} <= set(list_spaces())
    for name, space in zip(list_spaces(), shipped_spaces(), strict=True):
        assert (space.name, space.source) == (name, name)
        assert find_space(name) is space


def test_an_unknown_name_hints_at_the_nearest():
    """A misspelt name is refused with the nearest one as a hint and the known ones in the message."""
    with pytest.raises(InputError, match=r"ofa-mbv3-w1\.0.*starter") as caught:
        find_space("startr")
    assert caught.value.hint == "did you mean 'starter'?"
    with pytest.raises(InputError, match="unknown supernet 'x'") as caught:
        find_space("x")
    assert caught.value.hint == "a file with a space of your own ends in .toml"


def test_a_space_of_ones_own_is_found_by_its_file(tmp_path, monkeypatch):
    """A relative path does; the space keeps the absolute one, and a name that is taken is refused."""
    monkeypatch.chdir(tmp_path)
    Path("plain.toml").write_text(PLAIN)
    Path("starter.toml").write_text(PLAIN)
    space = find_space("plain.toml")
    assert find_space(space.source) == space == find_space(Path("plain.toml"))
    assert Path(space.source) == tmp_path / "plain.toml"
    with pytest.raises(InputError, match=r"starter\.toml: 'starter' is the name of a space that comes with natdeploy"):
        find_space("starter.toml")
    with pytest.raises(InputError, match=r"absent\.toml"):
        find_space("absent.toml")


def test_a_changed_space_is_not_the_recorded_one(tmp_path):
    """A run goes on with the space that it began with, or not at all."""
    path = tmp_path / "plain.toml"
    path.write_text(PLAIN)
    recorded = compute_space_hash(find_space(path))
    assert find_recorded_space(str(path), recorded) == find_space(path)
    path.write_text(PLAIN + "\n# a comment\n")
    assert find_recorded_space(str(path), recorded) == find_space(path)
    path.write_text(PLAIN.replace("[3, 6]", "[3, 4]"))
    with pytest.raises(InputError, match="the search space has changed since the run started"):
        find_recorded_space(str(path), recorded)


@pytest.mark.parametrize("name", ["nat", "starter", "lite"])
def test_architectures_tell_their_space(name):
    """An architecture that names no supernet belongs to the first space that contains it, at any resolution."""
    space = find_space(name)
    for architecture in (smallest(space), largest(space)):
        assert find_space_of(dataclasses.replace(architecture, resolution=99)).name == name


def test_an_architecture_of_no_space_is_refused():
    """A width of no space is refused with the known ones, and other choices with what the space has."""
    architecture = smallest(find_space("starter"))
    with pytest.raises(InputError, match=r"width 1\.1 .*0\.5, 1, 1\.2"):
        find_space_of(dataclasses.replace(architecture, width=1.1))
    with pytest.raises(InputError, match=r"ks\[0\] is 9, space starter allows \[3, 5, 7\]"):
        find_space_of(dataclasses.replace(architecture, kernels=(9, *architecture.kernels[1:])))
