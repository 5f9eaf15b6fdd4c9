"""The NAT authors' net.config with weights by their names: inspected, loaded, exported, extracted."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from natdeploy import api, cli
from natdeploy.core.layers import walk
from natdeploy.errors import InputError
from natdeploy.io.encodings import from_encoding
from natdeploy.io.spaces import find_space
from natdeploy.supernet.checkpoints import write_state
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import Network, build_network
from natdeploy.supernet.released_names import list_released_names
from natdeploy.testing.fakes import RecordingReporter
from tests.support.netconfigs import net_config
from tests.support.published import PUBLISHED, Published
from tests.support.supernets import scramble

MISH, PLAIN = PUBLISHED[2], PUBLISHED[6]


def authors_name(name: str) -> str:
    """Return the name that a tensor has in the authors' files: blocks by their older path, each layer once."""
    return list_released_names(name)[0] if name.startswith("classifier") else list_released_names(name)[-1]


def write_published(
    folder: Path,
    published: Published,
    *,
    activation: str | None = None,
    dropout: float = 0.0,
    prefix: str = "",
    scrambled: bool = True,
) -> Network:
    """Write `net.config` and `net.weights` of a published architecture, and return the network that they describe."""
    architecture = from_encoding(published.encoding)
    content = net_config(architecture, classes=published.classes, activation=activation, dropout=dropout)
    (folder / "net.config").write_text(json.dumps(content))
    layers = walk(find_space("nat"), architecture, published.classes, activation=activation)
    network = randomize_weights(build_network(layers, dropout=dropout), 5, size=64)
    if scrambled:
        scramble(network)
    state = {prefix + authors_name(name): tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": state}, folder / "net.weights")
    return network


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def images(count: int = 2, size: int = 64) -> torch.Tensor:
    """Return images of noise."""
    return torch.from_numpy(np.random.default_rng(0).standard_normal((count, 3, size, size))).float()


def test_names_are_those_of_the_authors_files() -> None:
    """Blocks hold one convolution and one BatchNorm a unit, below `mobile_inverted_conv`."""
    names = {
        "stem.conv.weight": "first_conv.conv.weight",
        "blocks.1.expand.bn.weight": "blocks.1.mobile_inverted_conv.inverted_bottleneck.bn.weight",
        "blocks.4.se.reduce.bias": "blocks.4.mobile_inverted_conv.depth_conv.se.fc.reduce.bias",
        "blocks.4.project.conv.weight": "blocks.4.mobile_inverted_conv.point_linear.conv.weight",
        "feature_mix.conv.weight": "feature_mix_layer.conv.weight",
        "classifier.weight": "classifier.linear.weight",
    }
    assert {name: authors_name(name) for name in names} == names


@pytest.mark.parametrize(
    ("published", "activation", "dropout", "prefix"),
    [(MISH, "mish", 0.2, ""), (PLAIN, None, 0.2, "module."), (PUBLISHED[5], None, 0.0, "")],
    ids=str,
)
def test_the_network_computes_what_its_weights_say(
    folder: Path, published: Published, activation: str | None, dropout: float, prefix: str
) -> None:
    """Loaded from config and weights, the network gives the logits of the one that was written, in evaluation mode."""
    network = write_published(folder, published, activation=activation, dropout=dropout, prefix=prefix)
    subnet, loaded = api.load_subnet(api.SubnetSource("net.config", weights=Path("net.weights")))
    assert (subnet.classes, subnet.activation, subnet.dropout) == (published.classes, activation, dropout)
    assert loaded.dropout.p == dropout
    assert not loaded.training
    with torch.inference_mode():
        expected, found = network(images()), loaded(images())
    assert torch.equal(expected, found)
    assert expected.abs().max() > 1e-3


def test_an_extracted_network_is_a_subnet_of_its_own(folder: Path) -> None:
    """Written as a subnet, it keeps classes, Mish and dropout, and computes the same."""
    network = write_published(folder, MISH, activation="mish", dropout=0.2)
    source = api.SubnetSource("net.config", weights=Path("net.weights"))
    extracted = api.extract_network(source, output=Path("out.json"))
    assert extracted.subnet == Path("out.json")
    subnet, loaded = api.load_subnet("out.json")
    assert (subnet.activation, subnet.dropout, subnet.classes) == ("mish", 0.2, 1000)
    assert subnet.provenance["weights"] == "net.weights"
    with torch.inference_mode():
        assert torch.equal(network(images()), loaded(images()))


def test_the_task_of_a_network_is_written_beside_it(folder: Path) -> None:
    """With the data set that it was trained on, the subnet's file tells classes, mean and deviation."""
    write_published(folder, PLAIN)
    api.extract_network(api.SubnetSource("net.config", weights=Path("net.weights")), data="digits")
    subnet, _ = api.load_subnet("subnet.json")
    assert subnet.task is not None
    assert subnet.task["classes"] == [str(digit) for digit in range(10)]
    write_published(folder, MISH)
    with pytest.raises(InputError, match="digits: has 10 classes, the network has 1000"):
        api.extract_network(api.SubnetSource("net.config", weights=Path("net.weights")), data="digits")


def test_names_that_do_not_fit_are_listed(folder: Path) -> None:
    """Weights of another published network are refused by every way in, with names left over and missing."""
    write_published(folder, MISH)
    (folder / "net.weights").rename(folder / "other.weights")
    write_published(folder, PLAIN)
    with pytest.raises(InputError, match=r"other\.weights: the weights do not fit the architecture; left over: blocks"):
        api.inspect(api.SubnetSource("net.config", weights=Path("other.weights")))
    with pytest.raises(InputError, match="left over"):
        api.load_subnet(api.SubnetSource("net.config", weights=Path("other.weights")))
    write_state(folder / "short.safetensors", {"first_conv.conv.weight": torch.zeros(1)})
    with pytest.raises(InputError, match=r"missing: stem\.bn\.\w+, .* and \d+ more"):
        api.load_subnet(api.SubnetSource("net.config", weights=Path("short.safetensors")))


def test_another_shape_is_named(folder: Path) -> None:
    """A classifier for other classes does not fit."""
    write_published(folder, PLAIN)
    content = json.loads((folder / "net.config").read_text())
    content["classifier"]["out_features"] = 12
    (folder / "net.config").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"of another shape: classifier\.\w+, classifier\.\w+"):
        api.load_subnet(api.SubnetSource("net.config", weights=Path("net.weights")))


def test_the_commands_take_config_and_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`inspect`, `extract` and `export` work on the two files as they were published."""
    write_published(folder, PLAIN, dropout=0.2)
    assert cli.run(["inspect", "net.config", "--weights", "net.weights", "--json"]) == 0
    inspected = json.loads(capsys.readouterr().out)
    assert inspected["weights"] == "net.weights"
    assert inspected["params"] == pytest.approx(PLAIN.params_m * 1e6, abs=1e4)
    assert cli.run(["extract", "net.config", "--weights", "net.weights", "-o", "net.json"]) == 0
    assert cli.run(["inspect", "net.json", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out.splitlines()[-1])["classes"] == 10
    assert cli.run(["extract", "net.config"]) == 2
    assert "a network with its own weights needs --weights only" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("activation", [None, "mish"])
def test_an_export_is_checked_against_the_loaded_network(folder: Path, activation: str | None) -> None:
    """ONNX of config and weights computes what they compute."""
    # Scrambled weights would make a network so ill-conditioned that float32 itself misses the limit.
    write_published(folder, PUBLISHED[5], activation=activation, scrambled=False)
    exported = api.export(
        api.SubnetSource("net.config", weights=Path("net.weights")), output=folder / "net.onnx"
    ).exports[0]
    assert exported.parity.passed
    manifest = json.loads(exported.manifest.read_text())
    assert manifest["artifact"] == "net.onnx"


def test_every_released_architecture_loads(shared_data: Path, folder: Path) -> None:
    """Each of the 14 released subnets, as config and weights by the authors' names, is read, fits and is costed."""
    entries = json.loads((shared_data / "published_subnets" / "nat_published_subnets.json").read_text())
    assert len(entries) == len(PUBLISHED)
    for published in PUBLISHED:
        layers = walk(find_space("nat"), from_encoding(published.encoding), published.classes)
        content = net_config(from_encoding(published.encoding), classes=published.classes)
        (folder / "net.config").write_text(json.dumps(content))
        empty = build_network(layers).state_dict()
        state = {authors_name(name): torch.ones_like(tensor) for name, tensor in empty.items()}
        torch.save({"state_dict": state}, folder / "net.weights")
        inspected = api.inspect(api.SubnetSource("net.config", weights=Path("net.weights")))
        assert inspected.params == pytest.approx(published.params_m * 1e6, abs=1e4)
        assert inspected.encoding == published.encoding


def test_what_is_read_is_not_replaced(folder: Path) -> None:
    """Neither the architecture nor its weights are overwritten by the subnet that is made of them."""
    write_published(folder, PLAIN)
    (folder / "net.config").rename("net.json")
    (folder / "net.weights").rename("mine.safetensors")
    source = api.SubnetSource(Path("net.json"), weights=Path("mine.safetensors"))
    before = Path("mine.safetensors").read_bytes()
    for output in ("net.json", "mine.json"):
        with pytest.raises(InputError, match="would replace the file that is read"):
            api.extract_network(source, output=Path(output))
    with pytest.raises(InputError, match=r"net\.json: this output would replace"):
        api.extract("net.json", supernet="nat", weights=Path("mine.safetensors"), output=Path("net.json"))
    assert Path("mine.safetensors").read_bytes() == before


def test_without_output_an_earlier_subnet_is_kept(folder: Path) -> None:
    """A subnet that lies where the result goes by default is kept with its weights, and the reporter says so."""
    write_published(folder, PLAIN, scrambled=False)
    for name in ("subnet.json", "subnet.safetensors"):
        Path(name).write_text("earlier")
    reporter = RecordingReporter()
    source = api.SubnetSource(Path("net.config"), weights=Path("net.weights"))
    api.extract_network(source, context=api.Context(reporter=reporter))
    assert {Path(f"{name}.bak").read_text() for name in ("subnet.json", "subnet.safetensors")} == {"earlier"}
    assert "the subnet.json that was there is kept as subnet.json.bak" in reporter.said
