"""ONNX files."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from natdeploy.core.architecture import largest, smallest
from natdeploy.core.genotype import decode, sample
from natdeploy.core.layers import layer_names, walk
from natdeploy.errors import CheckFailedError, InputError, MissingRuntimeError
from natdeploy.export import onnx as onnx_export
from natdeploy.export.onnx import OnnxExporter
from natdeploy.export.parity import check_parity
from natdeploy.io.spaces import find_space
from natdeploy.runtimes.onnx_runtime import OnnxRuntime
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import build_network
from natdeploy.testing.exporters import ExporterContract
from natdeploy.testing.networks import noise_images, tiny_network


class TestOnnxExporter(ExporterContract):
    """The exporter of ONNX files does what every exporter must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls):
        """The exporter of ONNX files."""
        return OnnxExporter()

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls):
        """ONNX Runtime."""
        return OnnxRuntime()


def random_architecture(space, seed=0):
    """Draw one architecture of the space."""
    return decode(space, sample(space, 1, np.random.default_rng(seed))[0])


@pytest.mark.parametrize(
    ("space", "choose", "classes", "activation"),
    [
        ("starter", smallest, 10, None),
        ("starter", largest, 10, None),
        ("starter", random_architecture, 37, None),
        ("nat", random_architecture, 100, None),
        ("ofa-mbv3-w1.2", smallest, 1000, None),
        ("starter", random_architecture, 10, "mish"),
    ],
)
def test_file_agrees_with_the_network(tmp_path, space, choose, classes, activation):
    """Small, large and random architectures of narrow and wide spaces, Mish included, give the network's logits."""
    layers = walk(find_space(space), choose(find_space(space)), classes, activation=activation)
    network = randomize_weights(build_network(layers), 0)
    OnnxExporter().write(network, tmp_path / "network.onnx")
    session = OnnxRuntime().open(tmp_path / "network.onnx", threads=1)
    parity = check_parity(network, session, noise_images(network, 3))
    assert parity.passed, parity


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The exported smallest architecture of the starter space, with its layers."""
    space = find_space("starter")
    layers = walk(space, smallest(space), 10)
    path = tmp_path_factory.mktemp("model") / "network.onnx"
    OnnxExporter().write(randomize_weights(build_network(layers), 0), path)
    return onnx.load(path), layers


def test_every_operator_is_named_after_its_layer(model):
    """Operator names begin with the layer that they belong to, and each layer that computes has one."""
    graph, names = model[0].graph, layer_names(model[1])
    scopes = [f"/{name}/" for name in names]
    owners = [[scope for scope in scopes if node.name.startswith(scope)] for node in graph.node]
    stray = [node.name for node, owner in zip(graph.node, owners, strict=True) if len(owner) != 1]
    assert all(name.rsplit("/", 1)[-1] == "Flatten" for name in stray), stray
    assert {owner[0] for owner in owners if owner} == set(scopes)
    assert graph.node[-1].name == "/classifier/Gemm"


def test_graph_holds_nothing_superfluous(model):
    """BatchNorm is folded, nothing is copied, and each stored weight is used."""
    graph = model[0].graph
    assert not {node.op_type for node in graph.node} & {"BatchNormalization", "Identity", "Dropout", "Constant"}
    assert {item.name for item in graph.initializer} <= {name for node in graph.node for name in node.input}


def test_input_and_output_are_static_and_named(model):
    """One image goes in, one row of logits comes out."""
    graph = model[0].graph

    def described(value):
        return value.name, [size.dim_value for size in value.type.tensor_type.shape.dim]

    assert [described(value) for value in (*graph.input, *graph.output)] == [
        ("image", [1, 3, 32, 32]),
        ("logits", [1, 10]),
    ]


def test_metadata_is_signed_and_holds_no_path(model):
    """Metadata say who wrote the file under natdeploy's own keys, and nothing of the machine."""
    assert model[0].producer_name == "natdeploy"
    assert model[0].model_version == 1
    assert {item.key.partition(".")[0] for item in model[0].metadata_props} == {"natdeploy"}
    content = model[0].SerializeToString()
    assert not any(str(path).encode() in content for path in (Path.cwd(), Path.home(), Path(sys.prefix)))
    assert not any(tensor.HasField("data_location") for tensor in model[0].graph.initializer)


@pytest.mark.parametrize("opset", [11, 13, 17, 19])
def test_opset_is_what_was_asked_for(tmp_path, opset):
    """The file uses the opset asked for, and still computes the same."""
    network = tiny_network()
    described = OnnxExporter(opset).write(network, tmp_path / "network.onnx")
    written = onnx.load(tmp_path / "network.onnx")
    assert [(item.domain, item.version) for item in written.opset_import] == [("", opset)]
    assert described["opset"] == opset
    session = OnnxRuntime().open(tmp_path / "network.onnx", threads=1)
    assert check_parity(network, session, noise_images(network, 2)).passed


def test_another_opset_than_asked_for_fails(tmp_path, monkeypatch):
    """An opset that differs from the one asked for is an error and writes nothing."""
    convert = onnx_export._convert
    monkeypatch.setattr(onnx_export, "_convert", lambda network, opset, batch: convert(network, opset + 1, batch))
    with pytest.raises(CheckFailedError, match="wrote opset 14 instead of 13"):
        OnnxExporter(13).write(tiny_network(), tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []


def test_unknown_opset_is_refused():
    """An opset that the exporter cannot write is refused with those that it can."""
    with pytest.raises(InputError, match=r"opset 99 cannot be written .*9 to 20"):
        OnnxExporter(99)


def test_missing_package_is_named_with_the_command(tmp_path, monkeypatch):
    """Without the package onnx the error tells how to install it."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingRuntimeError, match="onnx is not installed") as caught:
        OnnxExporter().write(tiny_network(), tmp_path / "network.onnx")
    assert caught.value.hint == "pip install onnx"
