"""What estimates are worth on real phones, on networks that nothing was fitted to."""

from __future__ import annotations

import csv
import importlib
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from natdeploy.io.devices import find_device, load_devices

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def phones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return the benchmark, imported as it imports its neighbour; no device of the user's own is known."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    return importlib.import_module("phone_estimates")


def count_madds(network: nn.Module) -> int:
    """Return the multiply-adds of the convolutions and linear layers of a module at 224 pixels; nothing is computed."""
    found = []

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        found.append(output.shape[2:].numel() * module.weight.numel())

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network.eval()(torch.empty(1, 3, 224, 224, device="meta"))
    return sum(found)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mobilenet_v2", {}),
        ("mobilenet_v3_large", {}),
        ("mobilenet_v3_small", {"hidden": 1024}),
        ("mnasnet1_0", {}),
    ],
)
def test_networks_cost_what_torchvision_s_do(phones, name, arguments):
    """The layers that the benchmark builds have exactly the multiply-adds of torchvision's module."""
    from torchvision import models

    networks = importlib.import_module("phone_networks")
    built = {
        "mobilenet_v2": lambda: networks.mobilenet_v2(1.0),
        "mobilenet_v3_large": lambda: networks.mobilenet_v3("large", 1.0),
        "mobilenet_v3_small": lambda: networks.mobilenet_v3("small", 1.0, **arguments),
        "mnasnet1_0": lambda: networks.mnasnet("b1"),
    }[name]()
    with torch.device("meta"):
        module = getattr(models, name)(weights=None)
    assert sum(layer.madds for layer in built) == count_madds(module)


def test_every_network_costs_what_its_source_says(phones, shared_data):
    """The published figures count activations too: they are up to 4 % more, and never less but for one variant."""
    with (shared_data / phones.FILE).open() as file:
        published = {row["model"]: int(row["FLOPS"]) / 2 for row in csv.DictReader(file)}
    networks = phones.build_networks()
    assert len(networks) == 24
    for name, layers in networks.items():
        ratio = sum(layer.madds for layer in layers) / published[name]
        assert 0.96 < ratio < (1.003 if name == "mnasnet_a1" else 1), name


def test_shipped_figures_are_off_on_other_networks_by_what_their_descriptions_say(phones, shared_data):
    """The error that each description states is that of the networks that were not fitted; multiply-adds do worse."""
    measured, (fitted, held_out) = phones.read_phones(shared_data), phones.split_networks()
    assert len(fitted) == len(held_out) == 12
    assert not set(fitted) & set(held_out)
    for device in phones.PHONES:
        stated = re.search(
            r"is ([\d.]+) % in fp32 \(largest ([\d.]+) %\) and ([\d.]+) % in int8 \(largest ([\d.]+) %\)",
            find_device(device).source,
        )
        assert stated is not None
        for place, precision in enumerate(phones.PRECISIONS):
            latencies = measured[device, precision]
            found = phones.compare(phones.estimate(device, precision, held_out), latencies)
            assert f"{found.mape_percent:.1f} {found.max_percent:.1f}" == " ".join(stated.groups()[2 * place :][:2])
            plain = phones.compare(phones.scale_madds(held_out, fitted, latencies), latencies)
            assert found.mape_percent < 8 < 20 < plain.mape_percent


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_shipped_figures_can_be_made_again(phones, shared_data, precision):
    """A fit to the same twelve networks gives the figures of the description."""
    fitted, _ = phones.split_networks()
    shipped = find_device("galaxy-s10").roofline
    assert shipped is not None
    latencies = phones.read_phones(shared_data)["galaxy-s10", precision]
    made = phones.fit(latencies, fitted, shipped.peak_gmadds[precision], precision)
    figures = shipped.get_figures(precision)
    assert made.efficiency == pytest.approx(figures.efficiency, rel=0.02)
    assert made.bandwidth_gb_s == pytest.approx(figures.bandwidth_gb_s, rel=0.02)
    assert made.operator_ms == pytest.approx(figures.operator_ms, rel=0.02)


def test_without_the_data_the_benchmark_says_what_it_needs(phones, monkeypatch, tmp_path):
    """The message names the variable and the file."""
    monkeypatch.setenv("NATDEPLOY_SHARED_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"NATDEPLOY_SHARED_DATA.*tflite_cnn_e2e\.csv"):
        phones.main()


def test_every_description_says_what_is_fitted_and_what_is_a_guess(monkeypatch, tmp_path):
    """Figures of a data sheet, fitted ones and guesses are named as such for each device that can be estimated."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    for device in load_devices().values():
        if device.roofline is not None:
            places = [device.source.find(label) for label in ("Data sheet:", "Fitted:", "Guesses:")]
            assert -1 not in places, device.name
            assert places == sorted(places), device.name
