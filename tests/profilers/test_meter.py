"""Whole networks on this machine, and the files that are made of them."""

from __future__ import annotations

import numpy as np
import torch

from natdeploy.core.architecture import uniform
from natdeploy.core.layers import walk
from natdeploy.export.onnx import OnnxExporter
from natdeploy.io.spaces import find_space
from natdeploy.profilers.meter import Meter
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.runtimes.onnx_runtime import OnnxRuntime
from tests.support.host_timer import SHORT, host_timer

SPACE = find_space("starter")


def noise_image(size: int, seed: int):
    """Return a `1 x 3 x size x size` image of seeded noise."""
    return np.random.default_rng(seed).standard_normal((1, 3, size, size)).astype(np.float32)


class CountingExporter(OnnxExporter):
    """Counts what it writes."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def write(self, network, target):
        """Write and count."""
        self.sizes.append(network.input_size)
        return super().write(network, target)


class OtherExporter(CountingExporter):
    """An exporter whose files are not ONNX as far as anybody can tell."""

    @property
    def format(self) -> str:
        """Name of no known format."""
        return "other"


def layers_of(resolution: int, *, depth: int = 2, kernel: int = 3):
    """Return the layers of a small network."""
    architecture = uniform(SPACE, resolution=resolution, width=0.5, depth=depth, kernel=kernel, expand_ratio=3)
    return walk(SPACE, architecture, 10)


def test_a_deeper_network_takes_longer():
    """Networks come back in order, each with the runs it got."""
    with host_timer() as timer:
        meter = Meter(exporter=OnnxExporter(), timer=timer, seed=0)
        small, large = meter.measure([layers_of(32), layers_of(64, depth=4, kernel=7)]).stats
    assert small.median_ms < large.median_ms
    assert small.runs == large.runs == SHORT.rounds * SHORT.min_runs


def test_each_structure_is_exported_once_for_all_resolutions(tmp_path):
    """An ONNX file of another input size computes what it would have been exported for."""
    exporter = CountingExporter()
    files = ModelFiles(exporter, tmp_path, seed=0)
    sessions = [OnnxRuntime().open(files.path(layers_of(size)), threads=1) for size in (32, 48, 64, 48)]
    assert [session.input_size for session in sessions] == [32, 48, 64, 48]
    assert len(exporter.sizes) == 1
    image = noise_image(48, 0)
    direct = tmp_path / "direct.onnx"
    OnnxExporter().write(ModelFiles(OtherExporter(), tmp_path, seed=0).network(layers_of(48)), direct)
    expected = OnnxRuntime().open(direct, threads=1).run(image)
    np.testing.assert_allclose(sessions[1].run(image), expected, rtol=1e-4, atol=1e-5)


def test_other_formats_are_exported_at_their_own_size(tmp_path):
    """Only ONNX files are known to do without."""
    exporter = OtherExporter()
    files = ModelFiles(exporter, tmp_path, seed=0)
    for size in (32, 48, 32):
        files.path(layers_of(size))
    assert exporter.sizes == [32, 48]


def test_activations_neither_vanish_nor_explode(tmp_path):
    """Outputs depend on inputs, so that no shortcut for zeros or denormal numbers is measured."""
    session = OnnxRuntime().open(ModelFiles(OnnxExporter(), tmp_path, seed=0).path(layers_of(48)), threads=1)
    first, second = session.run(noise_image(48, 1)), session.run(noise_image(48, 2))
    assert np.isfinite(first).all()
    assert 1e-3 < np.abs(first - second).max() < 1e3


def test_threads_of_pytorch_are_as_before(tmp_path):
    """Exporting with one thread leaves the process as it was."""
    before = torch.get_num_threads()
    ModelFiles(OnnxExporter(), tmp_path, seed=0).path(layers_of(32))
    assert torch.get_num_threads() == before


def test_files_of_several_sizes_are_timed_together(tmp_path):
    """Each file is timed on a noise image of its own size."""
    files = ModelFiles(OnnxExporter(), tmp_path, seed=0)
    with host_timer() as timer:
        timed = timer.time([files.path(layers_of(size)) for size in (32, 48)], seed=0)
    assert [stats.runs for stats in timed.stats] == [SHORT.rounds * SHORT.min_runs] * 2
