"""Search spaces as TOML files."""

import dataclasses
import tomllib
from pathlib import Path

import pytest

from natdeploy.errors import InputError
from natdeploy.io.space_files import compute_space_hash, describe_space, parse_space, read_space_file
from natdeploy.io.spaces import find_space
from tests.support.strategies import ALL_SPACES, MIXED

PLAIN = """
resolutions = [64, 96]

[stem]
channels = 16
activation = "relu"

[fixed_block]
channels = 16
activation = "relu"

[[stages]]
channels = 24
stride = 2
activation = "relu"
kernels = [3, 5]
expand_ratios = [3, 6]
depths = [1, 2]

[final_expand]
channels = 64
activation = "relu"
"""


@pytest.mark.parametrize("space", ALL_SPACES, ids=lambda space: space.name)
def test_a_space_survives_its_description(space):
    """What describes a space makes the same space again, with whole numbers as integers."""
    read = parse_space(describe_space(space), name=space.name, source="", place="x")
    assert read == space
    assert describe_space(read) == describe_space(space)
    assert compute_space_hash(read) == compute_space_hash(space)
    ratios = [ratio for stage in read.stages for part in stage.expand_ratios for ratio in part]
    assert all(isinstance(ratio, int) == (ratio == int(ratio)) for ratio in ratios)


def test_what_is_left_out_has_its_usual_value(tmp_path):
    """A file need not state what most networks have; ratios stand once for all blocks of a stage."""
    path = tmp_path / "plain.toml"
    path.write_text(PLAIN)
    space = read_space_file(path)
    assert (space.name, space.source) == ("plain", str(path))
    assert (space.widths, space.padding, space.se_unit, space.bn_eps) == ((1.0,), "symmetric", "mobilenetv3", 1e-5)
    assert (space.feature_mix, space.fixed_block.kernel, space.stages[0].se) == (None, 3, False)
    assert space.stages[0].expand_ratios == ((3, 6), (3, 6))


@pytest.mark.parametrize("change", [{"padding": "symmetric"}, {"bn_eps": 1e-5}, {"stages": MIXED.stages[:3]}], ids=str)
def test_whatever_changes_the_networks_changes_the_hash(change):
    """The hash is of everything but name, place, widths and resolutions, of which a run may have a part."""
    assert compute_space_hash(dataclasses.replace(MIXED, **change)) != compute_space_hash(MIXED)
    part = dataclasses.replace(MIXED, name="other", source="x", widths=(1.0,), resolutions=(45,))
    assert compute_space_hash(part) == compute_space_hash(MIXED)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[stem]", "[stem", "not valid TOML: "),
        ("resolutions = [64, 96]", "", "resolutions: is missing"),
        ("resolutions = [64, 96]", "resolutions = [96, 64]", "resolutions must be positive, ascending"),
        ("resolutions = [64, 96]", "resolutions = [16]", "resolutions[0]: must be at least 32"),
        ("resolutions = [64, 96]", "resolutions = 64", "resolutions: must be a list (it is 64)"),
        ("resolutions", "pading = 'same'\nresolutions", "pading: unknown key"),
        (
            "resolutions",
            "padding = 'valid'\nresolutions",
            "padding: must be 'symmetric' or 'same' (it",
        ),
        ("resolutions", "bn_eps = nan\nresolutions", "not valid TOML: bn_eps is nan, not a finite number"),
        ("kernels = [3, 5]", "kernels = [3, 4]", "stages[0].kernels must be odd numbers"),
        ("kernels = [3, 5]", "kernels = []", "stages[0].kernels: must have at least 1 item"),
        ("kernels = [3, 5]", "", "stages[0].kernels: is missing"),
        ("kernels = [3, 5]", "kernel = [3]\nkernels = [3]", "stages[0].kernel: unknown key"),
        ("expand_ratios = [3, 6]", "expand_ratios = 3", "stages[0].expand_ratios: must be a list of numbers, or one"),
        ("expand_ratios = [3, 6]", "expand_ratios = [3, 1e308]", "stages[0].expand_ratios[0][1]: must be at most 64"),
        (
            "expand_ratios = [3, 6]",
            "expand_ratios = [3, '6']",
            "stages[0].expand_ratios[0][1]: must be a",
        ),
        ("expand_ratios = [3, 6]", "expand_ratios = [[3, 6]]", "stages[0].expand_ratios must list the ratios of its 2"),
        ("expand_ratios = [3, 6]", "expand_ratios = [1, 6]", "stages[0].expand_ratios cannot offer 1 beside others"),
        ("depths = [1, 2]", "depths = [0, 2]", "stages[0].depths[0]: must be at least 1"),
        ("stride = 2", "stride = 3", "stages[0].stride: must be 1 or 2 (it is 3)"),
        ('channels = 64\nactivation = "relu"', 'channels = 64\nactivation = "gelu"', "final_expand.activation: must"),
        (
            "[final_expand]\nchannels = 64",
            "[final_expand]\nchannels = 0",
            "final_expand.channels: must be",
        ),
    ],
)
def test_a_bad_file_is_one_sentence_with_file_key_and_reason(tmp_path, monkeypatch, old, new, reason):
    """Whatever is wrong, the message names it."""
    monkeypatch.chdir(tmp_path)
    assert old in PLAIN
    Path("plain.toml").write_text(PLAIN.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_space_file(Path("plain.toml"))
    assert caught.value.message.startswith(f"plain.toml: {reason}")
    assert "\n" not in caught.value.message


def test_a_misspelt_key_gets_the_nearest_as_a_hint(tmp_path):
    """The hint is one of the keys that are known at this place."""
    path = tmp_path / "plain.toml"
    path.write_text(PLAIN.replace("kernels", "kernel", 1))
    with pytest.raises(InputError) as caught:
        read_space_file(path)
    assert caught.value.message.endswith("plain.toml: stages[0].kernel: unknown key")
    assert caught.value.hint == "did you mean 'kernels'?"


def test_a_name_that_is_no_name_is_refused(tmp_path):
    """The file's name is used in other files and messages."""
    path = tmp_path / "my space.toml"
    path.write_text(PLAIN)
    with pytest.raises(InputError, match=r"my space\.toml: the name of the file becomes that of the space"):
        read_space_file(path)


def test_shipped_files_say_what_they_are():
    """Each shipped file begins with a comment that says which networks it has."""
    folder = Path(__file__).parents[2] / "natdeploy" / "spaces"
    for path in folder.glob("*.toml"):
        text = path.read_text()
        assert text.startswith("# ")
        assert describe_space(find_space(path.stem))["resolutions"] == tomllib.loads(text)["resolutions"]
