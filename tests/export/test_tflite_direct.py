"""TFLite files that are written without a converter."""

import importlib.metadata
import sys

import numpy as np
import pytest
import torch

from natdeploy.core import genotype
from natdeploy.core.architecture import smallest
from natdeploy.core.latency import CLASSIFIER_COUNTS
from natdeploy.core.layers import STEM, Layer, walk
from natdeploy.errors import MissingRuntimeError
from natdeploy.export import tflite
from natdeploy.export.tflite import TfliteExporter
from natdeploy.export.tflite_direct import TfliteDirectExporter
from natdeploy.export.xnnpack_operators import fit_to_xnnpack
from natdeploy.io.spaces import find_space
from natdeploy.profilers.isolated import list_distinct_layers, make_isolated_models
from natdeploy.runtimes.litert import LitertRuntime
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import build_network
from natdeploy.testing.exporters import ExporterContract
from natdeploy.testing.networks import noise_images, tiny_network
from tests.support.strategies import MIXED


class TestTfliteDirectExporter(ExporterContract):
    """The direct writer of TFLite files does what every exporter must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls):
        """The direct writer."""
        return TfliteDirectExporter()

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls):
        """LiteRT."""
        return LitertRuntime()


def operators(path):
    """Return the operators of a TFLite file: what they are, what they take and give, and their options."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]

    def tensor(number):
        if number < 0:
            return None
        found = graph.tensors[number]
        data = model.buffers[found.buffer].data
        constant = None if data is None or len(data) == 0 else len(data)
        return found.type, [] if found.shape is None else [int(size) for size in found.shape], constant

    listed = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        options = None if operator.builtinOptions is None else vars(operator.builtinOptions)
        inputs, outputs = map(tensor, operator.inputs), map(tensor, operator.outputs)
        listed.append((code.builtinCode, code.version, list(inputs), list(outputs), options))
    return listed


def both(network, folder):
    """Write a network directly and through the converter, and return both files."""
    direct, converted = folder / "direct.tflite", folder / "converted.tflite"
    TfliteDirectExporter().write(network, direct)
    TfliteExporter().write(network, converted)
    return direct, converted


def both_for_int8(network, folder):
    """Write the float file that an int8 file is made of, directly and through the converter, and return both files."""
    direct, converted = folder / "direct.tflite", folder / "converted.tflite"
    TfliteDirectExporter().write(fit_to_xnnpack(network, int8=True), direct)
    tflite._convert(network, converted, int8=True)
    return direct, converted


def logits(path, images):
    """Return what a file computes."""
    return LitertRuntime().open(path, threads=1).run(images)


def with_biases(network):
    """Give the biases of a network values, as those of a trained one have."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in network.named_parameters():
        if name.endswith("bias") and "bn" not in name:
            torch.nn.init.normal_(parameter, 0, 0.1, generator=generator)
    return network


def test_the_file_is_the_converters(tmp_path):
    """Operators, shapes, options and outputs are those of the file that the converter writes."""
    network = with_biases(tiny_network())
    direct, converted = both(network, tmp_path)
    assert operators(direct) == operators(converted)
    images = noise_images(network, 1)
    np.testing.assert_allclose(logits(direct, images), logits(converted, images), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "resolution", "activation", "seed"),
    [
        ("starter", 32, None, 1),
        ("starter", 40, None, 2),
        ("starter", 48, None, 0),
        ("starter", 32, "mish", 3),
        ("ofa-mbv3-w1.0", 224, None, 0),
        ("ofa-mbv3-w1.2", 196, None, 4),
        ("lite", 128, None, 1),
        ("mixed", 45, None, 2),
        ("mixed", 52, None, 1),
    ],
)
@pytest.mark.parametrize("write", [both, both_for_int8])
def test_the_files_of_random_architectures_are_the_converters(tmp_path, write, name, resolution, activation, seed):
    """At odd and even sizes of maps, down to single pixels, with each activation, with and without biases."""
    space = (MIXED if name == "mixed" else find_space(name)).with_resolutions((resolution,))
    row = genotype.sample(space, 1, np.random.default_rng(seed))[0]
    network = randomize_weights(
        build_network(walk(space, genotype.decode(space, row), 10, activation=activation)), seed
    )
    direct, converted = write(with_biases(network) if seed else network, tmp_path)
    assert operators(direct) == operators(converted)
    images = noise_images(network, 1)
    expected = logits(converted, images)
    np.testing.assert_allclose(logits(direct, images), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("resolution", [32, 45, 52])
def test_paddings_activations_and_units_of_other_spaces_compute_what_their_modules_compute(tmp_path, resolution):
    """At odd and even sizes, with TensorFlow's padding, ReLU6, SiLU and EfficientNet's units, and without a mix."""
    space = MIXED.with_resolutions((resolution,))
    row = genotype.sample(space, 1, np.random.default_rng(resolution))[0]
    network = randomize_weights(build_network(walk(space, genotype.decode(space, row), 10)), 1)
    TfliteDirectExporter().write(with_biases(network), tmp_path / "network.tflite")
    images = noise_images(network, 1)
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    found = logits(tmp_path / "network.tflite", images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_a_classifier_without_bias_has_none_in_the_file(tmp_path):
    """A bias of zeros is left out, as the converter does."""
    TfliteDirectExporter().write(tiny_network(), tmp_path / "without.tflite")
    TfliteDirectExporter().write(with_biases(tiny_network()), tmp_path / "with.tflite")
    assert operators(tmp_path / "without.tflite")[-1][2][2] is None
    assert operators(tmp_path / "with.tflite")[-1][2][2] is not None


@pytest.mark.parametrize(("resolution", "step"), [(32, 2), (48, 5)])
def test_single_layers_compute_what_their_modules_compute(tmp_path, resolution, step):
    """Layers of each kind can be written alone behind a stem, whatever the size of their maps."""
    space = find_space("starter")
    layers = list_distinct_layers(space, 0.5, resolution)
    for model in dict.fromkeys(make_isolated_models([*layers[:-8:step], *layers[-8:]])):
        network = randomize_weights(build_network(model), 0)
        described = TfliteDirectExporter().write(network, tmp_path / "layer.tflite")
        images = noise_images(network, 1)
        with torch.no_grad():
            expected = network(torch.from_numpy(images))
        if expected.ndim == 4:
            expected = expected.permute(0, 2, 3, 1)
        assert described["output"]["shape"] == list(expected.shape)
        scale = float(expected.abs().max())
        if network.input_size == 3:  # three rows are taken for three channels, which is channels first
            images = images.transpose(0, 2, 3, 1)
        found = logits(tmp_path / "layer.tflite", images)
        np.testing.assert_allclose(found.reshape(expected.shape), expected.numpy(), rtol=1e-3, atol=1e-4 * scale)


def test_chains_of_blocks_can_be_written(tmp_path):
    """Any run of layers behind a stem makes a file, and one of a mere stem does too."""
    space = find_space("starter")
    layers = walk(space, smallest(space), 10)
    chain = (Layer(op=STEM, in_size=16, in_channels=3, out_channels=layers[2].in_channels), *layers[2:5])
    for model in (chain, chain[:1]):
        network = randomize_weights(build_network(model), 0)
        TfliteDirectExporter().write(network, tmp_path / "chain.tflite")
        assert logits(tmp_path / "chain.tflite", noise_images(network, 1)).size == np.prod(
            (model[-1].out_size, model[-1].out_size, model[-1].out_channels)
        )


def test_versions_name_the_schemas_package(tmp_path):
    """The description says whose schema the file follows; every count of classes can be written."""
    space = find_space("starter")
    for classes in CLASSIFIER_COUNTS:
        network = build_network(walk(space, smallest(space), classes))
        described = TfliteDirectExporter().write(randomize_weights(network, 0), tmp_path / "network.tflite")
        assert described["output"]["shape"] == [1, classes]
    assert described["versions"] == {"ai-edge-litert": importlib.metadata.version("ai-edge-litert")}


def test_missing_package_is_named_with_the_command(tmp_path, monkeypatch):
    """Without the schema the error tells how to install it, and nothing is written."""
    monkeypatch.setitem(sys.modules, "ai_edge_litert.schema_py_generated", None)
    with pytest.raises(MissingRuntimeError, match="ai-edge-litert is not installed") as caught:
        TfliteDirectExporter().write(tiny_network(), tmp_path / "network.tflite")
    assert caught.value.hint == 'pip install "natdeploy[tflite]"'
    assert list(tmp_path.iterdir()) == []
