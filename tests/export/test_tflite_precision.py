"""TFLite files of fp16 and int8, made of files that were written without the slow converter."""

import dataclasses
import logging
import os
import sys

import numpy as np
import pytest
import torch

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.export import tflite, tflite_precision
from natdeploy.export.parity import LIMITS, check_parity
from natdeploy.export.quantization_calibration import QuantizationCalibration
from natdeploy.export.tflite import TfliteExporter
from natdeploy.export.tflite_direct import TfliteDirectExporter
from natdeploy.export.tflite_precision import PERCENTILES
from natdeploy.export.tflite_ranges import collect_ranges
from natdeploy.export.xnnpack_operators import fit_to_xnnpack
from natdeploy.runtimes.litert import LitertRuntime, open_interpreter
from natdeploy.runtimes.litert_delegation import read_delegation
from natdeploy.testing.exporters import capture_stdout
from natdeploy.testing.networks import noise_images, tiny_network


@pytest.fixture(scope="module")
def network():
    """A network that has every operator of the family."""
    return tiny_network()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Write the float file that others are made of directly: the same operators in a fraction of the time."""

    def convert(network, target, *, int8):
        TfliteDirectExporter().write(fit_to_xnnpack(network, int8=int8), target)

    monkeypatch.setattr(tflite, "_convert", convert)


def write(network, path, **options):
    """Write a file and return what the exporter said of it."""
    calibration = QuantizationCalibration(images=noise_images(network, 16, seed=1), source="noise")
    return TfliteExporter(calibration=calibration, **options).write(network, path)


def parity(network, path, precision):
    """Return how a file compares with the network, on noise."""
    session = LitertRuntime().open(path, threads=1)
    return check_parity(network, session, noise_images(network, 8), limits=LIMITS[precision])


def kinds(path):
    """Return the names of the types of a file's tensors."""
    return {np.dtype(item["dtype"]).name for item in open_interpreter(path, threads=1).get_tensor_details()}


def test_fp16_weights_compute_the_same(network, tmp_path):
    """Weights are fp16, the file is about half as large, and the outputs are those of the network."""
    plain, path = tmp_path / "plain.tflite", tmp_path / "network.tflite"
    write(network, plain)
    described = write(network, path, precision="fp16")
    found = parity(network, path, "fp16")
    assert found.passed, found
    assert "float16" in kinds(path)
    assert path.stat().st_size < 0.65 * plain.stat().st_size
    assert described["precision"] == "fp16"
    assert described["versions"].keys() == {"torch", "litert-torch", "ai-edge-quantizer"}
    assert described["delegation"]["outside"] == {}


@pytest.mark.parametrize("int8_input", [False, True])
def test_int8_computes_nearly_the_same(network, tmp_path, int8_input):
    """Weights are int8 by channel, ends stay float32 unless int8 is asked for, and XNNPACK runs the file as a whole."""
    path = tmp_path / "network.tflite"
    described = write(network, path, precision="int8", int8_input=int8_input)
    found = parity(network, path, "int8")
    assert found.passed, found
    interpreter = open_interpreter(path, threads=1)
    wanted = "int8" if int8_input else "float32"
    assert np.dtype(interpreter.get_input_details()[0]["dtype"]).name == wanted == described["input"]["dtype"]
    assert np.dtype(interpreter.get_output_details()[0]["dtype"]).name == "float32"
    scales = [len(item["quantization_parameters"]["scales"]) for item in interpreter.get_tensor_details()]
    assert max(scales) > 1
    assert described["calibration"]["images"] == 16
    assert described["calibration"]["percentile"] in PERCENTILES
    assert ("scale" in described["input"]) is int8_input
    assert (described["delegation"]["partitions"], described["delegation"]["outside"]) == (1, {})


def test_int8_input_is_described_as_it_is_read(network, tmp_path):
    """Scale and zero point of the description turn an image into what the input tensor takes."""
    path = tmp_path / "network.tflite"
    described = write(network, path, precision="int8", int8_input=True)["input"]
    image = noise_images(network, 1)
    interpreter = open_interpreter(path, threads=1)
    stored = np.clip(np.rint(image / described["scale"] + described["zero_point"]), -128, 127).astype(np.int8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], stored.transpose(0, 2, 3, 1))
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(outputs, LitertRuntime().open(path, threads=1).run(image))


def test_ranges_hold_all_values_or_leave_the_few_largest_out(network, tmp_path):
    """For percentile 100, ranges go from the least to the largest value; for others, one outlier does not count."""
    TfliteDirectExporter().write(network, tmp_path / "plain.tflite")
    images = noise_images(network, 4).transpose(0, 2, 3, 1).copy()
    images[0, 0, 0, 0] = 1000
    ranges = collect_ranges(tmp_path / "plain.tflite", images, ["args_0", "output_0"], (100, 99.9))
    assert ranges[100]["args_0"] == (pytest.approx(images.min()), 1000)
    assert ranges[99.9]["args_0"] == pytest.approx(np.percentile(images, (0.1, 99.9)), rel=0.1)
    assert ranges[100].keys() == ranges[99.9].keys() == {"args_0", "output_0"}


def test_one_odd_image_does_not_widen_the_ranges(network, tmp_path, monkeypatch):
    """The percentile whose outputs on 128 images are nearest to the network's is taken, and the manifest has it."""
    images, calibration = noise_images(network, 8), noise_images(network, 129, seed=1)
    calibration[-1, :, 5, 5] = 200
    exporter = TfliteExporter(precision="int8", calibration=QuantizationCalibration(images=calibration, source="noise"))
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()

    def error(name):
        described = exporter.write(network, tmp_path / name)
        outputs = LitertRuntime().open(tmp_path / name, threads=1).run(images)
        return described["calibration"]["percentile"], np.linalg.norm(outputs - expected)

    percentile, chosen = error("chosen.tflite")
    monkeypatch.setattr(tflite_precision, "PERCENTILES", (100.0,))
    assert percentile < error("widest.tflite")[0] == 100
    assert chosen < 0.5 * error("widest.tflite")[1]


def test_delegation_is_counted(network, tmp_path):
    """Of a float file XNNPACK runs everything, in one part; what it leaves of another is named and counted."""
    plain = tmp_path / "plain.tflite"
    described = write(network, plain)
    whole = read_delegation(plain)
    assert (whole.partitions, whole.outside) == (1, {})
    assert whole.operators > 10
    assert described["delegation"] == dataclasses.asdict(whole)
    assert str(whole) == f"{whole.operators} operators: XNNPACK runs 1 part"


def test_nothing_is_left_behind(network, tmp_path):
    """Nothing reaches stdout, one file is written, and environment and logging are as they were."""
    handlers, before = list(logging.getLogger().handlers), dict(os.environ)
    _, stdout = capture_stdout(lambda: write(network, tmp_path / "network.tflite", precision="int8"))
    assert stdout == b""
    assert [path.name for path in tmp_path.iterdir()] == ["network.tflite"]
    assert logging.getLogger().handlers == handlers
    assert {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"} == {
        key: value for key, value in before.items() if key != "PYTEST_CURRENT_TEST"
    }


def test_int8_without_images_is_refused(network, tmp_path):
    """int8 is not calibrated on nothing, and nothing is written."""
    with pytest.raises(InputError, match="needs images to calibrate with"):
        TfliteExporter(precision="int8").write(network, tmp_path / "network.tflite")
    assert list(tmp_path.iterdir()) == []


def test_missing_package_is_named_with_the_command(network, tmp_path, monkeypatch):
    """Without ai-edge-quantizer the error tells how to install it, and nothing is written."""
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(MissingRuntimeError, match="ai-edge-quantizer is not installed") as caught:
        write(network, tmp_path / "network.tflite", precision="fp16")
    assert caught.value.hint == 'pip install "natdeploy[tflite]"'
    assert list(tmp_path.iterdir()) == []
