"""Search spaces of one's own, and networks of no search space, through the API."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from natdeploy import api
from natdeploy.core.device import find_deployment
from natdeploy.errors import CoverageError, InputError
from natdeploy.io.devices import find_device
from natdeploy.io.table_store import table_path
from natdeploy.io.tables import read_table, write_table
from natdeploy.supernet.checkpoints import write_state
from natdeploy.supernet.supernet import Supernet
from natdeploy.testing.fakes import RecordingReporter
from natdeploy.testing.tables import made_up_table
from tests.support import small_search
from tests.support.netconfigs import proxyless_config
from tests.support.supernets import scramble

UNITS = {"expand": "inverted_bottleneck", "depthwise": "depth_conv", "project": "point_linear"}
MINE = """
resolutions = [32, 40]
padding = "same"

[stem]
channels = 8
activation = "relu6"

[fixed_block]
channels = 8
activation = "relu6"

[[stages]]
channels = 16
stride = 2
activation = "relu6"
kernels = [3]
expand_ratios = [2, 4]
depths = [1, 2]

[[stages]]
channels = 24
stride = 2
activation = "relu6"
kernels = [3, 5]
expand_ratios = [[2, 3], [2.5]]
depths = [1, 2]

[final_expand]
channels = 64
activation = "relu6"
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A space of one's own in the current folder, with a table of a board."""
    small_search.prepare(tmp_path / "home", monkeypatch)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    path = Path("mine.toml")
    path.write_text(MINE)
    deployment = find_deployment(find_device(small_search.BOARD))
    table = made_up_table(api.find_space(path), deployment=deployment, provenance="estimated")
    write_table(table_path(deployment), table)
    return path


def write_weights(path: Path) -> Path:
    """Write weights of the space for ten classes."""
    supernet = Supernet(api.find_space(path), 10, seed=1)
    scramble(supernet)
    write_state(Path("mine.safetensors"), supernet.state_dict())
    return Path("mine.safetensors")


def test_architectures_of_a_space(mine: Path) -> None:
    """The ends have the first and last of all choices, and samples are architectures of the space."""
    space = api.find_space(mine)
    assert api.smallest(space).to_json() == {"w": 1.0, "r": 32, "d": [1, 1], "e": [2, 2], "ks": [3, 3]}
    assert api.largest(space).to_json() == {"w": 1.0, "r": 40, "d": [2, 2], "e": [4, 4, 3, 2.5], "ks": [3, 3, 5, 5]}
    drawn = api.sample(space, 20, np.random.default_rng(0))
    assert {type(architecture) for architecture in drawn} == {api.Architecture}
    assert len(set(drawn)) > 10


def test_a_subnet_holds_its_space(mine: Path) -> None:
    """A subnet of a space of one's own is read, inspected and exported where the file of the space is gone."""
    found = api.extract("largest", supernet=str(mine), weights=write_weights(mine))
    expected = api.load_subnet(found.subnet)[1]
    mine.unlink()
    read = api.inspect(found.subnet)
    assert (read.supernet, read.encoding) == ("mine", None)
    assert read.genotype is not None
    x = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(api.load_subnet(found.subnet)[1](x), expected(x))
    assert api.export(found.subnet).exports[0].parity.passed


def test_pretraining_a_space_of_ones_own_records_it(mine: Path) -> None:
    """The run records the absolute file, and is not continued with another content."""
    settings = api.TrainingSettings(epochs=1, samples=1, recipe=dataclasses.replace(api.PRETRAINING.recipe))
    trained = api.pretrain(data="digits", output=Path("run"), supernet=str(mine), settings=settings, threads=1)
    assert f'supernet = "{mine.resolve()}"' in Path("run/run.toml").read_text()
    assert Supernet(api.find_space(mine), 10).load_weights(trained.weights)
    mine.write_text(MINE.replace("[2, 4]", "[2, 3]"))
    with pytest.raises(InputError, match=r"mine\.toml: the search space has changed since the run started"):
        api.resume_pretraining(Path("run"))


@pytest.mark.slow
def test_a_search_over_a_space_of_ones_own_resumes_with_it(mine: Path) -> None:
    """The run records the absolute file; its choice is a subnet of the space; a changed file is refused."""
    run = small_search.small_search(supernet=str(mine), output=Path("run"))
    assert f'supernet = "{mine.resolve()}"' in Path("run/run.toml").read_text()
    assert api.inspect(run.subnet).supernet == "mine"
    assert api.report(Path("run")).chosen.madds == run.chosen.madds
    mine.write_text(MINE.replace("[2, 4]", "[2, 3]"))
    with pytest.raises(InputError, match=r"mine\.toml: the search space has changed since the run started"):
        api.report(Path("run"))


def test_the_ends_of_a_space_are_subnets_by_name(mine: Path) -> None:
    """`largest` and `smallest` are words for architectures where a space is named, and files come first."""
    space = api.find_space(mine)
    for end, architecture in (("largest", api.largest(space)), ("smallest", api.smallest(space))):
        read = api.inspect(api.SubnetSource(end, supernet=str(mine), classes=10))
        assert read.architecture == architecture.to_json()
    with pytest.raises(InputError, match="largest: no file has this name, and no supernet is named"):
        api.inspect("largest")
    Path("largest").write_text(json.dumps(api.smallest(space).to_json()))
    assert api.inspect(api.SubnetSource("largest", supernet=str(mine))).architecture == api.smallest(space).to_json()


@pytest.fixture
def proxyless(mine: Path) -> Path:
    """A `net.config` that is in no search space."""
    Path("net.config").write_text(json.dumps(proxyless_config()))
    return Path("net.config")


def test_networks_of_no_space_are_inspected_measured_and_exported(proxyless: Path) -> None:
    """They have layers and costs, and no supernet, architecture, genotype or encoding; no table covers them."""
    read = api.inspect(proxyless)
    assert (read.supernet, read.architecture, read.genotype, read.encoding) == (None, None, None, None)
    assert (read.classes, read.layers[0].in_size) == (7, 49)
    assert "supernet" in read.to_json()
    assert api.measure(proxyless, context=api.Context(reporter=RecordingReporter())).stats.median_ms > 0
    exported = api.export(proxyless, context=api.Context(reporter=RecordingReporter())).exports[0]
    assert exported.parity.passed
    manifest = json.loads(exported.manifest.read_text())
    assert manifest["subnet"]["supernet"] is None
    assert len(manifest["subnet"]["layers"]) == len(read.layers)
    with pytest.raises(CoverageError, match="lacks"):
        api.predict(proxyless, small_search.BOARD)


def test_networks_of_no_space_keep_their_weights(proxyless: Path) -> None:
    """With a weight file in ProxylessNAS's names, the subnet that is written computes what the network computes."""
    network = api.load_subnet(proxyless)[1]
    scramble(network)
    state = {}
    for name, tensor in network.state_dict().items():
        renamed = name.replace("stem.", "first_conv.").replace("final_expand.", "feature_mix_layer.")
        renamed = renamed.replace("classifier.", "classifier.linear.").replace("blocks.2.", "blocks.3.")
        for own, theirs in UNITS.items():
            renamed = renamed.replace(f".{own}.", f".mobile_inverted_conv.{theirs}.")
        state[renamed] = tensor
    torch.save(state, "net.weights")
    found = api.extract_network(api.SubnetSource(proxyless, weights=Path("net.weights")))
    assert found.architecture is None
    content = json.loads(found.subnet.read_text())
    assert (content["supernet"], content["architecture"]) == (None, None)
    x = torch.randn(1, 3, 49, 49, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(api.load_subnet(found.subnet)[1](x), network.eval()(x))
    assert api.inspect(found.subnet).madds == api.inspect(proxyless).madds


def test_networks_of_no_space_are_taken_out_of_no_supernet(proxyless: Path) -> None:
    """What needs an architecture says that there is none."""
    with pytest.raises(InputError, match="in no search space, so not in starter"):
        api.extract(proxyless, supernet="starter")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content["layers"][1].update(in_channels=16), r"layers\[1\]: takes 16 channels of size"),
        (lambda content: content["layers"].pop(), "layers: are stem, final_expand, pooling and blocks, not a stem"),
        (lambda content: content["layers"][0].update(op="convolution"), r"layers\[0\]\.op: must be 'stem'"),
        (lambda content: content["layers"].insert(1, content["layers"][0]), "layers: are stem, stem, "),
        (lambda content: content["layers"][2].update(skip=True), r"layers\[2\]: has a skip connection, but its output"),
        (lambda content: content["layers"][2].update(kernel=4), r"layers\[2\]: its kernel is 4, not an odd number"),
        (lambda content: content["layers"][2].pop("mid_channels"), r"layers\[2\]: a block needs mid_channels"),
        (lambda content: content["layers"][2].update(colour=1), r"layers\[2\]\.colour: unknown key"),
        (lambda content: content.update(supernet="nat"), "supernet: a file with layers of its own has none"),
        (lambda content: content.pop("layers"), "supernet: must be text in a file without layers"),
    ],
)
def test_layers_that_make_no_network_are_refused(proxyless: Path, change, reason: str) -> None:
    """A changed subnet file is refused with the place."""
    network = api.load_subnet(proxyless)[1]
    write_state(Path("net.safetensors"), network.state_dict())
    found = api.extract_network(api.SubnetSource(proxyless, weights=Path("net.safetensors")))
    content = json.loads(found.subnet.read_text())
    change(content)
    found.subnet.write_text(json.dumps(content))
    with pytest.raises(InputError, match=reason):
        api.inspect(found.subnet)


def test_the_next_command_names_the_file(mine: Path) -> None:
    """What a profile of an unreachable board covers is told with the file, which the next command needs."""
    found = api.profile(small_search.BOARD, supernet=str(mine))
    assert found.supernet == str(mine.resolve())
    assert found.resolutions == (32, 40)


def test_the_table_of_a_space_of_ones_own_is_written_and_read(mine: Path) -> None:
    """Padding is a column where a layer needs it; the table covers the space again when it is read."""
    path = table_path(find_deployment(find_device(small_search.BOARD)))
    assert ",padding\n" in path.read_text()
    space = api.find_space(mine)
    assert read_table(path).find_covered_resolutions(space, 10) == space.resolutions
