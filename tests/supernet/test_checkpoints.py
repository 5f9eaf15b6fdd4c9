"""Checkpoints: the released OFA layouts, what the weights then compute, and files that are none."""

import argparse
import json
import math
import zlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from natdeploy.core.architecture import Architecture, largest, smallest
from natdeploy.core.layers import walk
from natdeploy.errors import DivergedError, InputError, OutputError
from natdeploy.io.spaces import find_space
from natdeploy.supernet.checkpoints import count_classes, load_network_weights, read_state, write_state
from natdeploy.supernet.network import build_network
from natdeploy.supernet.released_names import list_released_names, to_own_names
from natdeploy.supernet.supernet import Supernet
from tests.support.strategies import SMALL
from tests.support.supernets import scramble

WIDTHS = ("1.0", "1.2")
STARTER = find_space("starter")


def reference_tensor(name, shape):
    """Return the generated weight of the reference, by its rules."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        values = rng.standard_normal(shape) * 0.1
    elif "_matrix" in name:
        values = np.eye(shape[0]) + rng.standard_normal(shape) * 0.05
    elif name.endswith("bn.weight"):
        values = rng.uniform(0.8, 1.2, shape)
    elif name.endswith("bias"):
        values = rng.standard_normal(shape) * 0.05
    else:
        values = rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def old_name(name):
    """Return the name that older files have: another path to a block, single wrappers."""
    return (
        name.replace(".conv.inverted", ".mobile_inverted_conv.inverted")
        .replace(".conv.depth_conv", ".mobile_inverted_conv.depth_conv")
        .replace(".conv.point", ".mobile_inverted_conv.point")
        .replace(".conv.conv.weight", ".conv.weight")
        .replace(".bn.bn.", ".bn.")
    )


@pytest.fixture(scope="module")
def reference(shared_data):
    """Return what the reference network computes, by width."""
    return json.loads((shared_data / "ofa_reference" / "expected_logits.json").read_text())


@pytest.fixture(scope="module")
def released(reference):
    """Return the generated weights by the released names, by width."""
    return {
        width: {name: reference_tensor(name, shape) for name, shape in reference[width]["layout"].items()}
        for width in WIDTHS
    }


@pytest.fixture(scope="module")
def supernets(released, tmp_path_factory):
    """Return supernets that have loaded the weights from a checkpoint, by width."""
    loaded = {}
    for width in WIDTHS:
        path = tmp_path_factory.mktemp("released") / "ofa.pth"
        torch.save({"state_dict": released[width]}, path)
        loaded[width] = Supernet(find_space(f"ofa-mbv3-w{width}"), 1000).eval()
        assert loaded[width].load_weights(path)
    return loaded


@pytest.mark.parametrize("width", WIDTHS)
def test_the_supernet_has_the_parameters_of_the_reference(reference, supernets, width):
    """The count of parameters is the reference's, and each tensor of its layout has a place."""
    parameters = sum(parameter.numel() for parameter in supernets[width].parameters())
    assert parameters == reference[width]["params"]
    assert len(supernets[width].state_dict()) == len(reference[width]["layout"])


@pytest.mark.parametrize("extracted", [False, True], ids=["elastic", "extracted"])
@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("width", WIDTHS)
def test_logits_are_those_of_the_reference(reference, supernets, width, number, extracted):
    """Relative to the largest logit, the error is under 1e-4; so is that of the norm, and the arg-max is the same.

    In the first case, the largest architecture, the generated weights make a network so ill-conditioned that float32
    itself is off by more: the reference is 1.3e-4 (w1.0) and 6.3e-4 (w1.2) away from float64, ours up to 9e-4
    depending on the number of threads. There the bound is ten times the distance to our own float64 result.
    """
    case = reference[width]["cases"][number]
    architecture, supernet = to_architecture(case["architecture"]), supernets[width]
    network = supernet.extract(architecture) if extracted else lambda x: supernet(x, architecture)
    rng = np.random.default_rng(architecture.resolution)
    x = torch.from_numpy(rng.standard_normal((2, 3, architecture.resolution, architecture.resolution))).float()
    with torch.inference_mode():
        logits = network(x)
        bound = 1e-4 if number else max(1e-4, 10 * rounding_error(supernet, architecture, x, logits))
    expected = torch.tensor(case["logits_first8"])
    assert (logits[:, :8] - expected).abs().max() / logits.abs().max() < bound
    assert logits.argmax(dim=1).tolist() == case["argmax"]
    norms = torch.tensor(case["logits_norm"])
    assert ((logits.norm(dim=1) - norms).abs() / norms).max() < bound


def rounding_error(supernet, architecture, x, logits):
    """Return how far float32 logits are from the float64 ones, relative to the largest."""
    exact = supernet.extract(architecture).double()(x.double())
    return float((exact - logits).abs().max() / exact.abs().max())


def to_architecture(case):
    """Return the architecture of a case."""
    return Architecture(
        resolution=case["r"],
        width=case["w"],
        depths=tuple(case["d"]),
        kernels=tuple(case["ks"]),
        expand_ratios=tuple(case["e"]),
    )


@pytest.mark.parametrize("bare", [False, True], ids=["state_dict", "bare"])
def test_the_older_layout_loads_the_same_weights(released, supernets, tmp_path, bare):
    """Older names give each weight to the same place, under `state_dict` or without it."""
    state = {old_name(name): tensor for name, tensor in released["1.0"].items()}
    assert len(state) == len(released["1.0"])
    assert sum("mobile_inverted_conv" in name for name in state) > 400
    torch.save(state if bare else {"state_dict": state}, tmp_path / "old.pth")
    supernet = Supernet(find_space("ofa-mbv3-w1.0"), 1000)
    assert supernet.load_weights(tmp_path / "old.pth")
    ours = supernet.state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in supernets["1.0"].state_dict().items())


@pytest.mark.parametrize("width", WIDTHS)
def test_a_subnet_by_the_released_names_gives_the_logits_of_the_reference(reference, supernets, tmp_path, width):
    """Weights of a static network, by the names that the authors' files have, load into the plain network."""
    case = reference[width]["cases"][4]
    architecture = to_architecture(case["architecture"])
    state = supernets[width].extract(architecture).state_dict()
    torch.save({"state_dict": {list_released_names(name)[-1]: state[name] for name in state}}, tmp_path / "net.weights")
    network = build_network(walk(find_space("nat"), architecture, 1000))
    load_network_weights(network, tmp_path / "net.weights")
    rng = np.random.default_rng(architecture.resolution)
    x = torch.from_numpy(rng.standard_normal((2, 3, architecture.resolution, architecture.resolution))).float()
    with torch.inference_mode():
        logits = network(x)
    expected = torch.tensor(case["logits_first8"])
    assert (logits[:, :8] - expected).abs().max() / logits.abs().max() < 1e-4
    assert logits.argmax(dim=1).tolist() == case["argmax"]


# What follows needs no shared data.


def engine_state(space=STARTER, classes=10):
    """Return scrambled weights of a supernet of one width, by natdeploy's names."""
    supernet = Supernet(space, classes)
    scramble(supernet)
    return dict(supernet.engine(space.widths[0]).state_dict())


@pytest.mark.parametrize("alias", [0, 1, -1])
def test_each_released_name_leads_back(alias):
    """A state renamed to any of the released layouts comes back unchanged."""
    own = engine_state()
    renamed = {list_released_names(name)[min(alias, len(list_released_names(name)) - 1)]: own[name] for name in own}
    assert not set(renamed) & {name for name in own if not name.startswith("classifier")}
    back = to_own_names(renamed, own, "file")
    assert all(back[name] is own[name] for name in own)


def test_names_of_the_two_layouts():
    """The names are those of the released files, newest first."""
    assert list_released_names("blocks.3.depthwise.conv.weight") == [
        "blocks.3.conv.depth_conv.conv.conv.weight",
        "blocks.3.conv.depth_conv.conv.weight",
        "blocks.3.mobile_inverted_conv.depth_conv.conv.conv.weight",
        "blocks.3.mobile_inverted_conv.depth_conv.conv.weight",
    ]
    assert list_released_names("blocks.9.se.reduce.bias")[0] == "blocks.9.conv.depth_conv.se.fc.reduce.bias"
    assert list_released_names("blocks.1.transform_7to5")[0] == "blocks.1.conv.depth_conv.conv.7to5_matrix"
    assert list_released_names("stem.bn.running_var") == ["first_conv.bn.running_var"]
    assert list_released_names("classifier.bias") == ["classifier.linear.bias", "classifier.bias"]


def test_left_over_and_missing_names_are_listed(tmp_path):
    """Names that have no place and places that have no name are both refused, by name and with the file's."""
    state = engine_state()
    del state["stem.conv.weight"]
    state |= {"extra.weight": torch.zeros(1)}
    write_state(tmp_path / "odd.safetensors", state)
    with pytest.raises(InputError, match=r"odd.*left over: extra\.weight; missing: stem\.conv\.weight"):
        Supernet(STARTER, 10).load_weights(tmp_path / "odd.safetensors")


def test_a_weight_under_two_names_is_left_over():
    """A file that holds one weight under its old and its new name is ambiguous, so the second is left over."""
    state = engine_state()
    state["first_conv.conv.weight"] = torch.zeros_like(state["stem.conv.weight"])
    with pytest.raises(InputError, match=r"left over: first_conv\.conv\.weight"):
        to_own_names(state, engine_state(), "file")


def test_counters_may_be_missing():
    """Files without BatchNorm's counters of batches are accepted."""
    state = engine_state()
    plain = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert set(to_own_names(plain, state, "file")) == set(state)


def test_long_lists_are_cut():
    """Of many missing names five are shown and the others counted."""
    state = engine_state()
    missing = len([name for name in state if not name.endswith("num_batches_tracked")])
    with pytest.raises(InputError, match=rf"missing: (\S+, ){{4}}\S+ and {missing - 5} more$"):
        to_own_names({}, state, "file")


def test_a_wrong_shape_is_named(tmp_path):
    """Weights of another width are refused with name and shapes."""
    write_state(tmp_path / "w.safetensors", engine_state(find_space("ofa-mbv3-w1.0")))
    with pytest.raises(InputError, match=r"supernet starter; \S+ is \(.*\), not \("):
        Supernet(STARTER, 10).load_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "model._orig_mod."])
def test_supernets_and_subnets_are_found_in_checkpoints_of_all_programs(tmp_path, key, prefix):
    """Where the tensors lie in the file, and with what prefix, is the same to a supernet and to a subnet."""
    supernet = Supernet(STARTER, 10, seed=1)
    scramble(supernet)
    network = supernet.extract(smallest(STARTER))
    for module, load in ((supernet, Supernet.load_weights), (network, load_network_weights)):
        state = {prefix + name: tensor for name, tensor in module.state_dict().items()}
        torch.save({key: state, "epoch": 3} if key else state, tmp_path / "w.pth")
        other = Supernet(STARTER, 10, seed=2)
        other = other if module is supernet else other.extract(smallest(STARTER))
        load(other, tmp_path / "w.pth")
        assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in module.state_dict().items())


def test_weights_that_are_not_finite_are_neither_read_nor_written(tmp_path):
    """Weights of training that had diverged are refused by the name of a tensor, and never become a file."""
    state = engine_state()
    for value in (math.nan, math.inf):
        state["classifier.weight"][0, 0] = value
        torch.save(state, tmp_path / "w.pth")
        for read in (read_state, count_classes, Supernet(STARTER, 10).load_weights):
            with pytest.raises(InputError, match=r"w\.pth: contains values .* not finite .* in classifier\.weight"):
                read(tmp_path / "w.pth")
        with pytest.raises(DivergedError, match=r"w\.safetensors: is not written, because classifier\.weight"):
            write_state(tmp_path / "w.safetensors", state)
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_weights_in_16_bits_become_float32(tmp_path, kind):
    """A file in 16 bits, of either format, loads as the rounded float32 weights; counters stay integers."""
    state = {name: tensor.to(kind) if tensor.ndim else tensor for name, tensor in engine_state().items()}
    write_state(tmp_path / "w.safetensors", state)
    torch.save(state, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        read = read_state(tmp_path / name)
        assert {tensor.dtype for tensor in read.values()} == {torch.float32, torch.int64}
        supernet = Supernet(STARTER, 10)
        assert supernet.load_weights(tmp_path / name)
        loaded = supernet.engine(0.5).state_dict()
        assert all(torch.equal(loaded[key], tensor.to(loaded[key].dtype)) for key, tensor in state.items())


def test_another_count_of_classes_leaves_the_classifier(tmp_path):
    """Weights for other classes load but for the classifier, and the caller is told."""
    write_state(tmp_path / "w.safetensors", engine_state(classes=12))
    supernet = Supernet(STARTER, 10)
    before = supernet.engine(0.5).classifier.weight.clone()
    assert supernet.load_weights(tmp_path / "w.safetensors") is False
    assert torch.equal(supernet.engine(0.5).classifier.weight, before)
    assert torch.equal(supernet.engine(0.5).stem.bn.weight, engine_state(classes=12)["stem.bn.weight"])
    assert count_classes(tmp_path / "w.safetensors") == 12


def test_a_supernet_of_several_widths(tmp_path):
    """Its own file holds all widths; a file of one width needs to be told which."""
    supernet = Supernet(SMALL, 10, seed=5)
    scramble(supernet)
    write_state(tmp_path / "all.safetensors", supernet.state_dict())
    other = Supernet(SMALL, 10, seed=6)
    assert other.load_weights(tmp_path / "all.safetensors")
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in supernet.state_dict().items())
    write_state(tmp_path / "one.safetensors", supernet.engine(0.75).state_dict())
    third = Supernet(SMALL, 10, seed=7)
    with pytest.raises(InputError, match="one width; space small has several"):
        third.load_weights(tmp_path / "one.safetensors")
    assert third.load_weights(tmp_path / "one.safetensors", width=0.75)
    assert torch.equal(third.engine(0.75).stem.conv.weight, supernet.engine(0.75).stem.conv.weight)
    assert not torch.equal(third.engine(0.5).stem.conv.weight, supernet.engine(0.5).stem.conv.weight)


def test_subnet_weights_come_back(tmp_path):
    """The weights of an extracted network, written and loaded into another of its kind, give the same logits."""
    supernet = Supernet(STARTER, 10).eval()
    scramble(supernet)
    network, other = supernet.extract(largest(STARTER)), Supernet(STARTER, 10, seed=9).extract(largest(STARTER))
    write_state(tmp_path / "subnet.safetensors", network.state_dict())
    load_network_weights(other, tmp_path / "subnet.safetensors")
    x = torch.ones(1, 3, 48, 48)
    with torch.inference_mode():
        assert torch.equal(network(x), other(x))


def test_subnet_weights_of_another_architecture_are_refused(tmp_path):
    """Weights that do not fit are refused with the names that are left over, missing or of another shape."""
    supernet = Supernet(STARTER, 10)
    write_state(tmp_path / "w.safetensors", supernet.extract(largest(STARTER)).state_dict())
    with pytest.raises(InputError, match=r"w\.safetensors: the weights do not fit the architecture; .*blocks\.\d+\."):
        load_network_weights(supernet.extract(smallest(STARTER)), tmp_path / "w.safetensors")


def test_a_file_without_a_classifier_has_no_classes(tmp_path):
    """The count of classes of something that is no supernet is refused."""
    save_file({"a": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="no classifier"):
        count_classes(tmp_path / "w.safetensors")


class Harmful:
    """Something whose unpickling would run code."""

    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {"a": 1}}, "expected a mapping of names to tensors"),
        ([torch.zeros(1)], "expected a mapping"),
        ({1: torch.zeros(1)}, "its key 1 is of type int"),
        ({"a": Harmful()}, "it contains an object of type print. Loading it could run code"),
        (torch.nn.Linear(2, 2), "of type torch.nn.modules.linear.Linear"),
        ({"state_dict": {"a": torch.zeros(1)}, "top1": np.float64(0.5)}, r"of type numpy\S*multiarray\.scalar"),
    ],
)
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_pickle_of_something_else_is_refused(tmp_path, capsys, content, message, new):
    """A file that holds anything but named tensors is refused by the type, and nothing in it runs.

    The hint says how to write the weights, and nobody is told to turn the check off.
    """
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    with pytest.raises(InputError, match=rf"w\.pth: not a checkpoint.*{message}") as refused:
        read_state(tmp_path / "w.pth")
    assert "torch.save(model.state_dict(), FILE)" in str(refused.value.hint)
    assert "weights_only" not in refused.value.message
    assert capsys.readouterr().out == ""


def test_a_checkpoint_may_have_the_options_of_the_program_that_wrote_it(tmp_path):
    """A namespace of argparse beside the tensors, as timm writes it, runs no code and is read over."""
    torch.save({"state_dict": {"a": torch.ones(2)}, "args": argparse.Namespace(lr=0.1)}, tmp_path / "w.pth")
    assert read_state(tmp_path / "w.pth")["a"].tolist() == [1, 1]


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_a_truncated_file_is_refused(tmp_path, kind):
    """Wherever a weight file is cut, it is refused by name."""
    state = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(5)}
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    assert set(read_state(path)) == set(state)
    raw = path.read_bytes()
    for length in [0, 1, *range(2, len(raw) - 1, max(1, len(raw) // 40))]:
        path.write_bytes(raw[:length])
        with pytest.raises(InputError, match=path.name):
            read_state(path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_what_is_no_weight_file_is_refused(tmp_path, name):
    """A missing file, a folder and a text file are refused by name."""
    with pytest.raises(InputError, match=f"{name}: no such file"):
        read_state(tmp_path / name)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder: is a folder, not a file"):
        read_state(tmp_path / "folder")
    (tmp_path / name).write_text("not weights at all\n")
    with pytest.raises(InputError, match=f"{name}: is a text file, which begins with 'not weights at all'"):
        read_state(tmp_path / name)


def test_an_unwritable_place_is_an_output_error(tmp_path):
    """Weights that cannot be written leave nothing behind."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_state(tmp_path / "file" / "w.safetensors", {"a": torch.zeros(1)})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
