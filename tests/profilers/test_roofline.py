"""Estimates from a device's description."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from natdeploy.core.cost import compile_cost, madds_array
from natdeploy.core.device import Roofline, RooflineFigures
from natdeploy.core.genotype import sample
from natdeploy.core.layers import Layer
from natdeploy.errors import InputError
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.profilers.roofline import estimate_layer, list_operators

FIGURES = Roofline(
    peak_gmadds={"fp32": 10.0, "fp16": 20.0},
    bandwidth_gb_s=1.0,
    efficiency={"dense": 0.2, "pointwise": 0.5, "depthwise": 0.1},
    operator_ms=0.25,
)
BLOCK = Layer(op="block", in_size=8, in_channels=16, out_channels=16, mid_channels=64, kernel=5, se=True, skip=True)
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2() -> list[Layer]:
    """Return the layers of MobileNetV2 at 224 (Sandler et al., CVPR 2018, table 2)."""
    layers = [Layer(op="stem", in_size=224, in_channels=3, out_channels=32, kernel=3, stride=2)]
    size, channels = 112, 32
    for ratio, out, repeats, first_stride in MOBILENET_V2:
        for stride in [first_stride] + [1] * (repeats - 1):
            layers.append(
                Layer(
                    op="block",
                    in_size=size,
                    in_channels=channels,
                    out_channels=out,
                    mid_channels=ratio * channels,
                    kernel=3,
                    stride=stride,
                    skip=stride == 1 and channels == out,
                )
            )
            size, channels = size // stride, out
    return [
        *layers,
        Layer(op="final_expand", in_size=7, in_channels=320, out_channels=1280),
        Layer(op="pooling", in_size=7, in_channels=1280, out_channels=1280),
        Layer(op="classifier", in_size=1, in_channels=1280, out_channels=1000),
    ]


def test_operators_account_for_every_multiply_add():
    """The operators of a layer add up to its cost."""
    for layer in [*mobilenet_v2(), BLOCK, dataclasses.replace(BLOCK, mid_channels=16, se=False)]:
        assert sum(operator.madds for operator in list_operators(layer)) == layer.madds


def test_a_layer_is_bound_by_arithmetic_or_by_memory():
    """The longer of the two counts, and each operator's launch is added."""
    heavy = Layer(op="feature_mix", in_size=1, in_channels=1000, out_channels=1000)
    assert estimate_layer(heavy, FIGURES, "fp32").median_ms == pytest.approx(4 * 1.002 + 0.25)
    fast_memory = dataclasses.replace(FIGURES, bandwidth_gb_s=1000.0)
    assert estimate_layer(heavy, fast_memory, "fp32").median_ms == pytest.approx(0.2 + 0.25)
    assert estimate_layer(heavy, fast_memory, "fp16").median_ms == pytest.approx(0.1 + 0.25)


def test_kinds_of_convolution_reach_different_shares_of_the_peak():
    """A block's 1x1 convolutions are pointwise, its other one depthwise, and the stem's is dense."""
    stem = Layer(op="stem", in_size=8, in_channels=3, out_channels=16, kernel=3, stride=2)
    assert [operator.kind for operator in list_operators(stem)] == ["dense"]
    plain = dataclasses.replace(BLOCK, se=False, skip=False)
    assert [operator.kind for operator in list_operators(plain)] == ["pointwise", "depthwise", "pointwise"]
    fast_memory = dataclasses.replace(FIGURES, bandwidth_gb_s=1e6)
    assert estimate_layer(stem, fast_memory, "fp32").median_ms == pytest.approx(stem.madds / 2e6 + 0.25)


def test_each_operator_of_a_block_is_launched():
    """Expand, depthwise, four of squeeze-and-excitation, project and the addition are eight launches."""
    assert len(list_operators(BLOCK)) == 8
    slower = dataclasses.replace(FIGURES, operator_ms=1.25)
    difference = estimate_layer(BLOCK, slower, "fp32").median_ms - estimate_layer(BLOCK, FIGURES, "fp32").median_ms
    assert difference == pytest.approx(8)


def test_an_estimate_says_that_nothing_was_run():
    """All statistics are the same figure, of no runs."""
    stats = estimate_layer(BLOCK, FIGURES, "fp32")
    assert (stats.p10_ms, stats.p90_ms, stats.std_ms, stats.runs) == (stats.median_ms, stats.median_ms, 0, 0)


def test_a_precision_without_a_peak_rate_is_refused():
    """The message lists the precisions that have one."""
    with pytest.raises(InputError, match=r"precision int8 \(known: fp32, fp16\)"):
        estimate_layer(BLOCK, FIGURES, "int8")


def test_mobilenet_v2_on_a_jetson_nano_takes_what_users_report(monkeypatch, tmp_path):
    """About the 27 ms that a user reports of trtexec."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    device = find_device("jetson-nano")
    assert device.roofline is not None
    total_ms = sum(estimate_layer(layer, device.roofline, "fp16").median_ms for layer in mobilenet_v2())
    assert total_ms == pytest.approx(27, rel=0.1)


def test_a_precision_with_its_own_figures_does_not_take_those_of_the_others():
    """Its launch time, efficiency and bandwidth are its own; another precision keeps the shared ones."""
    own = RooflineFigures(
        bandwidth_gb_s=1e6, efficiency={"dense": 1.0, "pointwise": 0.25, "depthwise": 1.0}, operator_ms=1
    )
    both = dataclasses.replace(FIGURES, own_figures={"fp16": own})
    heavy = Layer(op="feature_mix", in_size=1, in_channels=1000, out_channels=1000)
    assert estimate_layer(heavy, both, "fp16").median_ms == pytest.approx(1e6 / (20 * 0.25 * 1e6) + 1)
    assert estimate_layer(heavy, both, "fp32") == estimate_layer(heavy, FIGURES, "fp32")


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("jetson-nano", "fp16"),
        ("jetson-orin-nano", "fp16"),
        ("raspberry-pi-5", "fp32"),
        ("pixel-8", "fp32"),
        ("galaxy-note10", "fp32"),
        ("pixel-4", "fp32"),
        ("pixel-4", "int8"),
        ("galaxy-a03s", "int8"),
    ],
)
def test_larger_choices_never_come_out_faster(name, precision, monkeypatch, tmp_path):
    """Estimates grow with kernel and expand ratio, and follow the multiply-adds without repeating them."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    device = find_device(name)
    space = find_space("nat").with_resolutions((192, 224))
    figures = device.roofline
    assert figures is not None
    array = compile_cost(space, 1000, lambda layer: estimate_layer(layer, figures, precision).median_ms)
    genes = array.blocks[..., 1:].reshape(2, 2, 20, 3, 3)
    assert (np.diff(genes, axis=-1) > 0).all()
    assert (np.diff(genes, axis=-2) > 0).all()
    population = sample(space, 500, np.random.default_rng(0))
    assert 0.8 < np.corrcoef(array(population), madds_array(space, 1000)(population))[0, 1] < 0.9999
