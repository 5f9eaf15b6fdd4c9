"""TFLite files."""

import logging
import sys

import pytest

from natdeploy.core.architecture import smallest
from natdeploy.core.layers import walk
from natdeploy.core.space import SPACES
from natdeploy.errors import MissingRuntimeError
from natdeploy.export.tflite import TfliteExporter
from natdeploy.runtimes.litert import LitertRuntime
from natdeploy.supernet.initialize import random_weights
from natdeploy.supernet.network import build_network
from natdeploy.testing.exporters import ExporterContract
from natdeploy.testing.networks import tiny_network


class TestTfliteExporter(ExporterContract):
    """The exporter of TFLite files does what every exporter must do, on the smallest architecture of a real space."""

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

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls):
        """The smallest architecture of the starter space."""
        space = SPACES["starter"]
        return random_weights(build_network(walk(space, smallest(space), 10)), 0)

    def test_file_takes_channels_last(self, written):
        """The file takes images as the runtime computes them, so that none is transposed."""
        assert written.described["input"]["layout"] == "NHWC"

    def test_process_is_left_as_it_was(self, written):
        """The converter's progress switch and the root logger are as they were."""
        import litert_torch

        assert litert_torch.config.show_progress
        assert not [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]


def test_missing_package_is_named_with_the_command(tmp_path, monkeypatch):
    """Without litert-torch the error tells how to install it, and nothing is written."""
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MissingRuntimeError, match="litert-torch is not installed") as caught:
        TfliteExporter().write(tiny_network(), tmp_path / "network.tflite")
    assert caught.value.hint == 'pip install "natdeploy[tflite]"'
    assert list(tmp_path.iterdir()) == []
