"""Tensors of a network in what a checkpoint contains."""

import pytest
import torch

from natdeploy.errors import InputError
from natdeploy.supernet.checkpoints import read_state
from natdeploy.supernet.states import find_state, require_sound, strip_prefixes
from natdeploy.testing.fakes import RecordingReporter

STATE, OTHER = {"stem.weight": torch.ones(2)}, {"stem.weight": torch.zeros(2)}
OPTIMIZER = {"state": {"stem.weight": {"momentum_buffer": torch.zeros(2)}}, "param_groups": []}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": OPTIMIZER},
        {"model": {"state_dict": STATE}},
        {"state_dict_ema": STATE, "state_dict": OTHER},
        {"model": OTHER, "model_ema": STATE},
        {"pytorch-lightning_version": "2.4", "state_dict": STATE, "optimizer_states": [OPTIMIZER], "loops": {}},
        {"epochs": 2, "supernet": STATE, "optimizer": OPTIMIZER, "average": []},
        {"generator": STATE, "criterion": OTHER},
        {"module": STATE, "buffer_names": ["a"], "optimizer": None, "ds_version": "0.16.4"},
    ],
)
def test_the_network_of_a_checkpoint_is_found(content):
    """The tensors are found at the top and under the keys of torch, timm, Lightning, natdeploy's runs and others."""
    assert find_state(content, "w.pth")["stem.weight"].tolist() == [1, 1]


def test_it_is_said_which_of_several_states_is_read():
    """A moving average is preferred to the weights themselves, and the reporter is told."""
    reporter = RecordingReporter()
    find_state({"state_dict": OTHER, "state_dict_ema": STATE}, "w.pth", reporter.info)
    assert "under 'state_dict_ema' are read, not those under 'state_dict'" in "".join(reporter.said)
    told = len(reporter.said)
    find_state({"state_dict": STATE}, "w.pth", reporter.info)
    assert len(reporter.said) == told


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"student": STATE, "teacher": STATE}, "the weights of several networks: 'student', 'teacher'"),
        ({"state_dict": {"a": 1}}, "state_dict.a is of type int"),
        ({"a": torch.zeros(1), "epoch": 3}, "epoch is of type int"),
        ({}, "it is empty"),
        ({"state_dict": {}}, "it is empty"),
        ([STATE], "it is of type list"),
        (torch.zeros(2), "it is of type Tensor"),
    ],
)
def test_a_checkpoint_without_one_network_is_refused(content, reason):
    """Without tensors, or with those of two networks, nothing is guessed."""
    with pytest.raises(InputError, match=rf"w\.pth: .*{reason}") as refused:
        find_state(content, "w.pth")
    assert "torch.save(model.state_dict(), FILE)" in str(refused.value.hint)


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "model.",
        "module._orig_mod.",
        "net.module.",
        "network.",
        "_forward_module.model.",
        "gnn.",
    ],
)
def test_prefixes_of_wrappers_are_left_out(prefix):
    """The names are those of the network itself, whatever it was wrapped in."""
    assert strip_prefixes({f"{prefix}blocks.0.w": STATE["stem.weight"]}) == {"blocks.0.w": STATE["stem.weight"]}


def test_wrappers_inside_a_network_are_left_out():
    """Compiled parts, FSDP and activation checkpoints put their names in the middle; an average has a counter."""
    state = {
        "module.blocks._orig_mod.0.w": torch.ones(1),
        "module.blocks.1._fsdp_wrapped_module._checkpoint_wrapped_module.w": torch.ones(1),
        "n_averaged": torch.tensor(3),
    }
    assert list(strip_prefixes(state)) == ["blocks.0.w", "blocks.1.w"]


@pytest.mark.parametrize("name", ["engines.w1.stem.w", "features.0.0.weight", "0.weight", "_blocks.0.w", "blocks.0.w"])
def test_names_of_networks_stay_as_they_are(name):
    """The first part of a network's own names is no wrapper, even if all of them share it."""
    assert list(strip_prefixes({name: torch.ones(1)})) == [name]


def test_no_tensor_is_lost_to_a_name_that_another_has():
    """Where two tensors would get one name, all keep the names of the file."""
    state = {"module.a": torch.zeros(1), "a": torch.ones(1)}
    assert strip_prefixes(state) == state


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "tensor", "fault"),
    [
        ("a.weight", torch.tensor([1, 2]), "a.weight is of type int64: weights are float16, bfloat16, float32"),
        ("a.weight", torch.tensor([1, 2], dtype=torch.uint8), "a.weight is of type uint8"),
        ("a.weight", torch.tensor([True]), "a.weight is of type bool"),
        ("a.weight", torch.tensor([1j]), "a.weight is of type complex64"),
        ("a.weight", torch.ones(2).to(torch.float8_e4m3fn), "a.weight is of type float8_e4m3fn"),
        ("a.weight", torch.ones(2).to_sparse(), "a.weight is sparse"),
        ("a.weight", torch.ones(2, device="meta"), "a.weight is sparse or empty"),
        ("a.weight", torch.zeros(1).expand(10**12), "the file contains fewer values"),
        ("a.weight", torch.tensor([1.0, NAN]), "not finite numbers, in a.weight"),
        ("a.bias", torch.tensor([-INFINITY], dtype=torch.bfloat16), "not finite numbers, in a.bias"),
        ("a.weight", torch.tensor([1e300], dtype=torch.float64), "not finite numbers, in a.weight"),
        ("a.bn.running_var", torch.tensor([0.1, -0.1]), "negative variances, in a.bn.running_var"),
        ("a.bn.num_batches_tracked", torch.zeros((), dtype=torch.bool), "num_batches_tracked is of type bool"),
    ],
)
def test_tensors_that_are_no_weights_are_refused_by_name(tmp_path, name, tensor, fault):
    """Integers, complex numbers, float8, what is not finite, and negative variances make no network."""
    state = {"b.weight": torch.ones(2), name: tensor}
    with pytest.raises(InputError, match=rf"w\.pth: .*{fault}"):
        require_sound(state, "w.pth")
    if tensor.layout == torch.strided and not tensor.is_meta:
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "w.pth")
        with pytest.raises(InputError, match=r"w\.pth: .*a\.\w+"):
            read_state(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("tensor", "hint"),
    [
        (torch.ones(2, dtype=torch.int8), "before it was quantized"),
        (torch.ones(2).to_sparse(), "before it was quantized or pruned"),
        (torch.tensor([NAN]), "had diverged"),
    ],
)
def test_the_next_step_follows_from_what_a_tensor_is(tmp_path, tensor, hint):
    """A quantized network is not called damaged."""
    with pytest.raises(InputError) as caught:
        require_sound({"a.weight": tensor}, "w.pth")
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    "state",
    [
        {"a.weight": torch.zeros(2, 2)},
        {"a.weight": torch.zeros(2, 2, 3, 3), "a.bias": torch.zeros(2), "a.running_var": torch.ones(2)},
        {"a.weight": torch.zeros(2, 2), "b.weight": torch.zeros(3, 3, 1, 1, dtype=torch.float16)},
    ],
)
def test_weights_that_are_all_zero_are_refused(tmp_path, state):
    """A moving average that was saved before its first update computes nothing, but is finite."""
    with pytest.raises(InputError, match=r"w\.pth: every weight is 0"):
        require_sound(state, "w.pth")
    torch.save({"model": {"a.weight": torch.ones(2, 2)}, "ema": state}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w\.pth: every weight is 0"):
        read_state(tmp_path / "w.pth")
    require_sound({**state, "c.weight": torch.eye(2)}, "w.pth")


@pytest.mark.parametrize("names", [("student", "teacher"), ("encoder_q", "encoder_k"), ("online", "target", "old")])
def test_two_networks_in_one_mapping_are_refused(names):
    """A student and its teacher under one roof are told apart from one network with strange names."""
    state = {f"{name}.{key}": torch.ones(1) for name in names for key in ("blocks.0.weight", "blocks.0.bias")}
    with pytest.raises(InputError, match=rf"contains the weights of several networks: '{names[0]}', '{names[1]}'"):
        find_state(state, "w.pth")
    assert find_state({"blocks.a": torch.ones(1), "stem.a": torch.ones(1)}, "w.pth")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_other_precisions_are_sound(kind):
    """Half, single and double precision, counters and zero variances are weights."""
    state = {"a.weight": torch.ones(2, dtype=kind), "a.running_var": torch.zeros(2, dtype=kind)}
    require_sound({**state, "a.num_batches_tracked": torch.tensor(5)}, "w.pth")
