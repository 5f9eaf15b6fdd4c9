"""TFLite files."""

import logging
import sys

import numpy as np
import pytest

from natdeploy.errors import MissingRuntimeError
from natdeploy.export.parity import compute_reference
from natdeploy.export.pre_post_processing import add_pre_post_processing
from natdeploy.export.tflite import TfliteExporter
from natdeploy.runtimes.litert import LitertRuntime, open_interpreter
from natdeploy.testing.exporters import ExporterContract
from natdeploy.testing.networks import tiny_network


class TestTfliteExporter(ExporterContract):
    """The exporter of TFLite files does what every exporter must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls):
        """The exporter of TFLite files."""
        return TfliteExporter()

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls):
        """LiteRT."""
        return LitertRuntime()

    def test_file_takes_channels_last(self, written):
        """The file takes images as the runtime computes them, so that none is transposed."""
        assert written.described["input"]["layout"] == "NHWC"

    def test_process_is_left_as_it_was(self, written):
        """The converter's progress switch and the root logger are as they were."""
        import litert_torch

        assert litert_torch.config.show_progress
        assert not [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]


def test_pixels_go_in_and_probabilities_come_out(tmp_path):
    """With normalization and softmax inside, plain pixels give what softmax gives of the subnet's logits."""
    network, path = tiny_network(), tmp_path / "network.tflite"
    mean, std = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
    inside = add_pre_post_processing(network, mean_std=(mean, std), softmax=True)
    described = TfliteExporter().write(inside, path)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *described["input"]["shape"][1:])).astype(np.float32)
    interpreter = open_interpreter(path, threads=1)
    rows = []
    for image in pixels:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    normalized = (pixels / 255 - np.array(mean)) / np.array(std)
    logits = compute_reference(network, np.ascontiguousarray(normalized.transpose(0, 3, 1, 2), np.float32))
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(rows, expected, rtol=1e-3)
    assert np.ptp(expected, axis=0).max() > 0.01


def test_missing_package_is_named_with_the_command(tmp_path, monkeypatch):
    """Without litert-torch the error tells how to install it, and nothing is written."""
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MissingRuntimeError, match="litert-torch is not installed") as caught:
        TfliteExporter().write(tiny_network(), tmp_path / "network.tflite")
    assert caught.value.hint == 'pip install "natdeploy[tflite]"'
    assert list(tmp_path.iterdir()) == []
