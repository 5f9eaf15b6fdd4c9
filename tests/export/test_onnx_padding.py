"""TensorFlow's padding in ONNX files: an attribute of the convolutions, not an operator."""

import numpy as np
import onnx
import pytest

from natdeploy.core import genotype
from natdeploy.core.layers import layer_names, walk
from natdeploy.export.onnx import OnnxExporter
from natdeploy.export.parity import check_parity
from natdeploy.runtimes.onnx_runtime import OnnxRuntime
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import build_network
from natdeploy.testing.networks import noise_images
from tests.support.strategies import MIXED


@pytest.mark.parametrize("opset", [9, 17])
@pytest.mark.parametrize("resolution", [32, 45, 52])
def test_padding_is_part_of_the_convolutions(tmp_path, resolution, opset):
    """The file computes what the network computes, no operator only pads, and operators are named as usual."""
    space = MIXED.with_resolutions((resolution,))
    row = genotype.sample(space, 1, np.random.default_rng(resolution))[0]
    layers = walk(space, genotype.decode(space, row), 10)
    network = randomize_weights(build_network(layers), 0)
    path = tmp_path / "network.onnx"
    OnnxExporter(opset).write(network, path)
    assert check_parity(network, OnnxRuntime().open(path, threads=1), noise_images(network, 3)).passed
    nodes = onnx.load(path).graph.node
    assert not {"Pad", "ConstantOfShape", "Slice"} & {node.op_type for node in nodes}
    pads = [
        list(attribute.ints)
        for node in nodes
        if node.op_type == "Conv"
        for attribute in node.attribute
        if attribute.name == "pads"
    ]
    uneven = [pad for pad in pads if pad[:2] != pad[2:]]
    assert len(uneven) == sum(layer.padding == "same" for layer in layers) > 0
    assert all([before + 1 for before in pad[:2]] == pad[2:] for pad in uneven)
    known = set(layer_names(layers))
    computing = [node.name.strip("/").split("/") for node in nodes if node.op_type == "Conv"]
    assert all(known & set(scopes[:2]) for scopes in computing)
