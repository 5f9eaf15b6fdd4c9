"""Every format in every precision, for small, large and random networks, run where only the runtime is installed."""

import functools
import json
import subprocess
import sys
import venv

import numpy as np
import pytest
import torch

from natdeploy import api
from natdeploy.api.exporting.images import make_noise
from natdeploy.core.architecture import largest, smallest
from natdeploy.core.device import PRECISIONS
from natdeploy.core.genotype import decode, sample
from natdeploy.core.layers import walk
from natdeploy.export import tflite
from natdeploy.export.formats import make_exporter
from natdeploy.export.options import SUFFIXES, ExportOptions
from natdeploy.export.parity import LIMITS, compare, compute_reference, find_limits
from natdeploy.export.quantization_calibration import QuantizationCalibration
from natdeploy.io.datasets import load_task
from natdeploy.io.encodings import from_encoding
from natdeploy.io.spaces import find_space, list_spaces
from natdeploy.supernet.batchnorm import recalibrate
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import build_network
from tests.support.netconfigs import net_config
from tests.support.published import PUBLISHED

ALONE = {
    "onnx": """
import sys
import numpy as np
import onnxruntime
model, inputs, outputs = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
np.save(outputs, np.concatenate([session.run(None, {name: image[None]})[0] for image in np.load(inputs)]))
""",
    "tflite": """
import sys
import numpy as np
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
model, inputs, outputs = sys.argv[1:]
interpreter = Interpreter(model_path=model, num_threads=1)
interpreter.allocate_tensors()
rows = []
for image in np.load(inputs):
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.transpose(1, 2, 0)[None])
    interpreter.invoke()
    rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
np.save(outputs, np.concatenate(rows))
""",
}
NOTHING_ELSE = 'assert not {"torch", "natdeploy", "onnx"} & set(sys.modules), sorted(sys.modules)\n'


def random_one(space):
    """Draw one architecture of the space."""
    return decode(space, sample(space, 1, np.random.default_rng(0))[0])


CHOICES = {"smallest": smallest, "largest": largest, "random": random_one}
NETWORKS = [(space, which) for space in list_spaces() for which in CHOICES]


@functools.lru_cache(maxsize=2)
def network_of(space, which):
    """Return a network of random weights."""
    layers = walk(find_space(space), CHOICES[which](find_space(space)), 10)
    network = randomize_weights(build_network(layers), 0)
    recalibrate(network, [torch.from_numpy(images_of(network, 16, 2))])
    return network


@pytest.fixture(scope="module")
def convert():
    """Convert each network once for fp32 and fp16, and once for int8."""
    real, written = tflite._convert, {}

    def convert(network, target, *, int8):
        if (network, int8) not in written:
            written.clear()
            real(network, target, int8=int8)
            written[network, int8] = target.read_bytes()
        target.write_bytes(written[network, int8])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tflite, "_convert", convert)
        yield


def run_alone(path, images, *, python=sys.executable):
    """Run a file in a fresh process that knows numpy and a runtime, and nothing else; return its outputs."""
    inputs, outputs = path.with_suffix(".inputs.npy"), path.with_suffix(".outputs.npy")
    np.save(inputs, images)
    script = ALONE[path.suffix[1:]] + NOTHING_ELSE
    command = [python, "-I", "-c", script, str(path), str(inputs), str(outputs)]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(outputs)


def images_of(network, count, seed):
    """Return images of noise for a network."""
    return make_noise(count, network.input_size, np.random.default_rng(seed))


def write(network, path, format_name, precision):
    """Export a network to a file, calibrated on noise."""
    calibration = QuantizationCalibration(images=images_of(network, 16, 1), source="noise")
    make_exporter(format_name, ExportOptions(precision=precision), calibration).write(network, path)


@pytest.mark.parametrize("format_name", ALONE)
def test_trained_subnet_keeps_its_answers_where_only_the_runtime_is(convert, digits_subnet, tmp_path, format_name):
    """In each precision, a process without natdeploy and torch gets the answers of a trained subnet on real images."""
    subnet, network = api.load_subnet(digits_subnet)
    task = load_task("digits", subnet.architecture.resolution)
    shown = task.validation.select(np.arange(64)).to_tensor()
    images = np.ascontiguousarray(task.prepare(shown, network.input_size).numpy())
    reference = compute_reference(network, images)
    training = task.prepare(task.train.select(np.arange(64)).to_tensor(), network.input_size)
    calibration = QuantizationCalibration(images=np.ascontiguousarray(training.numpy()), source="train images")
    for precision in PRECISIONS:
        path = tmp_path / f"{precision}{SUFFIXES[format_name]}"
        make_exporter(format_name, ExportOptions(precision=precision), calibration).write(network, path)
        outputs = run_alone(path, images)
        if precision == "int8":
            assert (outputs.argmax(axis=1) == reference.argmax(axis=1)).mean() > 0.9
        else:
            assert compare(reference, outputs, limits=LIMITS[precision]).passed


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ALONE)
@pytest.mark.parametrize(("space", "which"), NETWORKS)
def test_file_computes_the_same_where_only_its_runtime_is(convert, tmp_path, space, which, format_name):
    """In each precision, a process without natdeploy and torch gets the network's outputs from the file."""
    network = network_of(space, which)
    images = images_of(network, 8, 0)
    reference = compute_reference(network, images)
    for precision in PRECISIONS:
        path = tmp_path / f"{precision}{SUFFIXES[format_name]}"
        write(network, path, format_name, precision)
        parity = compare(reference, run_alone(path, images), limits=find_limits(precision, random_weights=True))
        assert parity.passed, f"{precision}: {parity.reason} ({parity})"


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ALONE)
@pytest.mark.parametrize("published", PUBLISHED, ids=str)
def test_published_architectures_export(published, format_name, tmp_path):
    """The 14 architectures that the NAT authors released export from their encodings, and pass the check."""
    result = api.export(
        api.SubnetSource(published.encoding, classes=published.classes), (format_name,), output=tmp_path
    )
    exported = result.exports[0]
    assert exported.parity.passed
    assert json.loads(exported.manifest.read_text())["output"]["shape"] == [1, published.classes]
    assert api.measure(exported.artifact).stats.median_ms > 0


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ALONE)
def test_released_configuration_with_mish_exports(format_name, tmp_path):
    """A net.config of the authors, whose every activation is Mish, exports and passes the check."""
    source = tmp_path / "net.config"
    config = net_config(from_encoding(PUBLISHED[0].encoding), classes=10, activation="mish", dropout=0.2)
    source.write_text(json.dumps(config))
    assert api.export(source, (format_name,)).exports[0].parity.passed


@pytest.mark.slow
def test_tflite_runtime_reads_the_files(convert, tmp_path):
    """tflite-runtime 2.14, the last for small boards, which needs numpy before 2, runs the files of every precision."""
    venv.create(tmp_path / "board", with_pip=True)
    python = str(tmp_path / "board" / "bin" / "python")
    command = [python, "-m", "pip", "install", "--quiet", "tflite-runtime==2.14.0", "numpy<2"]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"tflite-runtime cannot be installed here: {installed.stderr[-200:]}")
    network = network_of("starter", "smallest")
    images = images_of(network, 4, 0)
    reference = compute_reference(network, images)
    for precision in PRECISIONS:
        path = tmp_path / f"{precision}.tflite"
        write(network, path, "tflite", precision)
        parity = compare(
            reference, run_alone(path, images, python=python), limits=find_limits(precision, random_weights=True)
        )
        assert parity.passed, f"{precision}: {parity.reason} ({parity})"
