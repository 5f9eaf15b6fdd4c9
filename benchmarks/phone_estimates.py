"""Prints how far estimates are from real phones, and fits the coefficients of three devices to them.

The phones are a Pixel 4, a Galaxy S10 and a Galaxy A03s, measured with TFLite in fp32 and int8 on one big core
(qed-usc/mobile-ml-benchmark). The 24 networks are those of `phone_networks.py`. Every second one, in alphabetical
order, is fitted; the others are held out. The five coefficients of a phone and precision are fitted by relative least
squares: three efficiencies, the bandwidth, and the launch time. No efficiency is over 1, and no bandwidth over that of
the memory in the phones' data sheets.

Run: NATDEPLOY_SHARED_DATA=FOLDER python benchmarks/phone_estimates.py
"""

from __future__ import annotations

import csv
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from phone_networks import Network, build_networks
from scipy.optimize import least_squares
from scipy.stats import spearmanr

from natdeploy.core.device import Roofline, RooflineFigures
from natdeploy.io.devices import find_device
from natdeploy.profilers.roofline import DENSE, DEPTHWISE, POINTWISE, estimate_layer

PHONES = {"pixel-4": "pixel4", "galaxy-s10": "s10", "galaxy-a03s": "a03s"}
PRECISIONS = {"fp32": "float", "int8": "quant"}
# A device with the same chip whose figures come from elsewhere.
RELATIVES = {("pixel-4", "fp32"): "galaxy-note10"}
FILE = Path("latency") / "phones" / "tflite_cnn_e2e.csv"
_KINDS = (DENSE, POINTWISE, DEPTHWISE)
# The fastest memory of the three phones: LPDDR4X at 2133 MHz, 64 bit.
_MAX_BANDWIDTH_GB_S = 34.1
_LEAST_LAUNCH_MS, _MAX_LAUNCH_MS = 0.0005, 0.1
_STARTS = ((0.4, 0.6, 0.2, 10.0, 0.005), (0.1, 0.5, 0.05, 2.0, 0.001), (0.05, 0.3, 0.1, 0.5, 0.001))
Values = NDArray[np.float64]
Latencies = Mapping[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far estimates are from measured latencies, in percent of these: mean, largest, and mean with its sign."""

    mape_percent: float
    max_percent: float
    bias_percent: float
    spearman: float


def read_phones(folder: Path) -> dict[tuple[str, str], Latencies]:
    """Return the latency of each network in milliseconds, by device and precision."""
    with (folder / FILE).open(encoding="utf-8") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    return {
        (device, precision): {
            name: float(rows[name][f"{phone}|1large|{column}|mean"]) / 1000 for name in build_networks()
        }
        for device, phone in PHONES.items()
        for precision, column in PRECISIONS.items()
    }


def split_networks() -> tuple[dict[str, Network], dict[str, Network]]:
    """Return the networks that are fitted, and those that are held out."""
    networks = list(build_networks().items())
    return dict(networks[::2]), dict(networks[1::2])


def fit(latencies: Latencies, networks: Mapping[str, Network], peak_gmadds: float, precision: str) -> RooflineFigures:
    """Fit the five coefficients to the measured latencies of `networks`."""

    def errors(logs: Values) -> list[float]:
        roofline = _make_roofline(_make_figures(logs), peak_gmadds, precision)
        return [estimate_ms(layers, roofline, precision) / latencies[name] - 1 for name, layers in networks.items()]

    low = np.log([1e-3] * 3 + [0.05, _LEAST_LAUNCH_MS])
    high = np.log([1.0] * 3 + [_MAX_BANDWIDTH_GB_S, _MAX_LAUNCH_MS])
    fits = [least_squares(errors, np.log(start), bounds=(low, high), diff_step=1e-4) for start in _STARTS]
    return _make_figures(min(fits, key=lambda fitted: fitted.cost).x)


def estimate_ms(network: Network, roofline: Roofline, precision: str) -> float:
    """Return the estimated latency of a network."""
    return sum(estimate_layer(layer, roofline, precision).median_ms for layer in network)


def estimate(device: str, precision: str, networks: Mapping[str, Network]) -> Latencies:
    """Return the latencies of networks in milliseconds by the shipped description of a device."""
    roofline = find_device(device).roofline
    assert roofline is not None
    return {name: estimate_ms(layers, roofline, precision) for name, layers in networks.items()}


def compare(estimates: Latencies, latencies: Latencies) -> Agreement:
    """Compare the estimates with the measured latencies of the same networks."""
    pairs = np.array([(estimates[name], latencies[name]) for name in estimates]).T
    errors = 100 * (pairs[0] / pairs[1] - 1)
    return Agreement(
        mape_percent=float(np.abs(errors).mean()),
        max_percent=float(np.abs(errors).max()),
        bias_percent=float(errors.mean()),
        spearman=float(spearmanr(*pairs).statistic),
    )


def scale_madds(networks: Mapping[str, Network], fitted: Mapping[str, Network], latencies: Latencies) -> Latencies:
    """Return estimates from multiply-adds alone, with the factor that suits the fitted networks best."""
    factor = np.median([latencies[name] / _count_madds(layers) for name, layers in fitted.items()])
    return {name: float(factor * _count_madds(layers)) for name, layers in networks.items()}


def main() -> None:
    """Print the fits, the comparison, and the error of every network."""
    folder = os.environ.get("NATDEPLOY_SHARED_DATA")
    if folder is None or not (Path(folder) / FILE).exists():
        sys.exit(f"needs the phones' latencies: set NATDEPLOY_SHARED_DATA to the folder that has {FILE}")
    phones, (fitted, held_out) = read_phones(Path(folder)), split_networks()
    print(f"fitted: {', '.join(fitted)}\nheld out: {', '.join(held_out)}\n")
    for (device, precision), latencies in phones.items():
        shipped = find_device(device).roofline
        assert shipped is not None
        made = fit(latencies, fitted, shipped.peak_gmadds[precision], precision)
        for name, figures in (("made again", made), ("shipped", shipped.get_figures(precision))):
            print(f"{device} {precision}, {name}: {_format(figures)}")
    print("\nheld-out networks, in % of the measured latency")
    print(f"{'':<40}{'MAPE':>8}{'largest':>9}{'bias':>8}{'Spearman':>10}")
    for (device, precision), latencies in phones.items():
        _print_comparison(device, precision, latencies, fitted, held_out)
    _print_errors(phones, [*fitted, *held_out])


def _print_comparison(
    device: str, precision: str, latencies: Latencies, fitted: Mapping[str, Network], held_out: Mapping[str, Network]
) -> None:
    rows = {"shipped": estimate(device, precision, held_out)}
    if (device, precision) in RELATIVES:
        relative = RELATIVES[device, precision]
        rows[f"as {relative}"] = estimate(relative, precision, held_out)
    rows["multiply-adds"] = scale_madds(held_out, fitted, latencies)
    for name, estimates in rows.items():
        found = compare(estimates, latencies)
        print(
            f"{f'{device} {precision}, {name}':<40}{found.mape_percent:>8.1f}{found.max_percent:>9.1f}"
            f"{found.bias_percent:>8.1f}{found.spearman:>10.3f}"
        )


def _print_errors(phones: Mapping[tuple[str, str], Latencies], names: Sequence[str]) -> None:
    print("\nmeasured latency in ms, and error of the estimate in %")
    print(f"{'':<26}" + "".join(f"{f'{device} {precision}':>20}" for device, precision in phones))
    networks = build_networks()
    estimates = {key: estimate(*key, networks) for key in phones}
    for name in sorted(names):
        cells = [
            f"{latencies[name]:>12.1f}{100 * (estimates[key][name] / latencies[name] - 1):>+8.1f}"
            for key, latencies in phones.items()
        ]
        print(f"{name:<26}" + "".join(cells))


def _make_figures(logs: Values) -> RooflineFigures:
    *shares, bandwidth, launch_ms = np.exp(logs).tolist()
    efficiency = dict(zip(_KINDS, shares, strict=True))
    return RooflineFigures(efficiency=efficiency, bandwidth_gb_s=bandwidth, operator_ms=launch_ms)


def _make_roofline(figures: RooflineFigures, peak_gmadds: float, precision: str) -> Roofline:
    return Roofline(
        peak_gmadds={precision: peak_gmadds},
        bandwidth_gb_s=figures.bandwidth_gb_s,
        efficiency=figures.efficiency,
        operator_ms=figures.operator_ms,
    )


def _format(figures: RooflineFigures) -> str:
    shares = ", ".join(f"{kind} {share:.3f}" for kind, share in figures.efficiency.items())
    return f"{shares}, {figures.bandwidth_gb_s:.2f} GB/s, launch {figures.operator_ms:.5f} ms"


def _count_madds(network: Network) -> int:
    return sum(layer.madds for layer in network)


if __name__ == "__main__":
    main()
