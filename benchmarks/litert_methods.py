"""Prints how far each way of measuring layers is off on whole networks, and how long it takes, for both runtimes.

All models of all methods are timed in turns in one session. All methods are scored on the same networks, which are in
no fit. RUNTIME is `litert` or `onnxruntime`; SPACE is `ofa-mbv3-w1.0` (at resolution 224) or `starter` (at 48). With
`files` as RUNTIME the benchmark compares instead the files of the direct writer with those of the converter. The
method of differences, whose many networks take minutes, runs only if the last argument is `differences`.
Run: python benchmarks/litert_methods.py [RUNTIME [SPACE [NETWORKS [REPEATS]]]]
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from host_setup import open_host_setup
from scipy.optimize import nnls

from natdeploy.core import genotype
from natdeploy.core.architecture import Architecture
from natdeploy.core.device import TableSelector, find_deployment
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats
from natdeploy.core.layers import BLOCK, CLASSIFIER, STEM, Layer, walk
from natdeploy.core.space import SearchSpace
from natdeploy.core.table_errors import compute_errors
from natdeploy.export.tflite import TfliteExporter
from natdeploy.export.tflite_direct import TfliteDirectExporter
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.ports import ModelTimer
from natdeploy.profilers.corrected import NETWORKS, draw_correcting_networks
from natdeploy.profilers.covering_networks import make_covering_networks
from natdeploy.profilers.in_context import compute_layer_shares, merge_rows
from natdeploy.profilers.isolated import SHORTEST_MS, list_distinct_layers, make_isolated_models, make_isolated_rows
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.row_correction import correct_rows
from natdeploy.profilers.setup import ProfilingSetup
from natdeploy.profilers.validation_networks import choose_spread_networks
from natdeploy.testing.tables import made_up_table

Model = tuple[Layer, ...]
Rows = dict[Layer, float]
Fixed = tuple[float, float]
SPACES = {"ofa-mbv3-w1.0": 224, "starter": 48}
SEED = 0


class Silent:
    """Listens to nothing."""

    def info(self, message: str) -> None:
        """Ignore a message."""

    def warn(self, message: str) -> None:
        """Ignore a warning."""

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Ignore a step."""


@dataclasses.dataclass
class Timed:
    """Models that were built and timed in one pass, with the seconds that each took."""

    stats: Mapping[Model, LatencyStats]
    seconds: Mapping[Model, float]

    def ms(self, model: Model) -> float:
        """Return the median of a model."""
        return self.stats[model].median_ms

    def cost_s(self, *groups: Sequence[Model]) -> float:
        """Return the seconds that the models of `groups` took, each counted once."""
        return sum(self.seconds[model] for model in dict.fromkeys(model for group in groups for model in group))


def time_all(timer: ModelTimer, files: ModelFiles, models: Sequence[Model]) -> Timed:
    """Build and time models; a model's seconds are those of building it and of its runs that count."""
    building = {}
    for model in dict.fromkeys(models):
        started = time.perf_counter()
        files.path(model)
        building[model] = time.perf_counter() - started
    found = dict(zip(building, timer.time([files.path(model) for model in building], seed=SEED).stats, strict=True))
    running = {model: stats.runs * stats.mean_ms / 1e3 for model, stats in found.items()}
    return Timed(found, {model: building[model] + running[model] for model in found})


def pairs(layers: Sequence[Layer]) -> dict[Layer, tuple[Model, Model]]:
    """Return for each block that can follow itself the models with one and with two of it."""
    chains = {}
    for layer in layers:
        if layer.op == BLOCK and layer.skip:
            stem = Layer(op=STEM, in_size=layer.in_size, in_channels=3, out_channels=layer.in_channels)
            chains[layer] = ((stem, layer), (stem, layer, layer))
    return chains


def plain(space: SearchSpace, resolution: int, *, depth: int | None = None, classes: int = 10) -> Model:
    """Return the network of the smallest choices everywhere, at full depth where none is given for the last stage."""
    depths = [stage.slots for stage in space.stages]
    depths[-1] = depth or depths[-1]
    chosen = [stage for stage, count in zip(space.stages, depths, strict=True) for _ in range(count)]
    architecture = Architecture(
        resolution=resolution,
        width=space.widths[0],
        depths=tuple(depths),
        kernels=tuple(stage.kernels[0] for stage in chosen),
        expand_ratios=tuple(stage.expand_ratios[0][0] for stage in chosen),
    )
    return walk(space, architecture, classes)


@dataclasses.dataclass(frozen=True)
class Exchanges:
    """Networks that differ from a plain one in one layer, in all places where it stands, or in the depth of a stage."""

    base: Model
    exchanged: dict[Layer, tuple[Layer, Model]]
    shortened: dict[Layer, Model]

    @property
    def models(self) -> list[Model]:
        """All of them."""
        return [self.base, *(model for _, model in self.exchanged.values()), *self.shortened.values()]

    def rows(self, timed: Timed) -> Rows:
        """Return what the layers take by differences; what no difference tells apart counts as the stem's."""
        base, rows = timed.ms(self.base), {}
        for layer, model in self.shortened.items():
            rows[layer] = (base - timed.ms(model)) / (self.base.count(layer) - model.count(layer))
        for layer, (plain_layer, model) in self.exchanged.items():
            rows[layer] = (timed.ms(model) - base) / self.base.count(plain_layer) + rows.get(plain_layer, 0.0)
        known = sum(rows.get(layer, 0.0) for layer in self.base)
        return {layer: rows.get(layer, 0.0) for layer in self.base} | rows | {self.base[0]: base - known}


def exchanges(layers: Sequence[Layer], base: Model) -> Exchanges:
    """Return the networks that the method of differences needs."""
    exchanged, shortened = {}, {}
    for layer in layers:
        twin = next((other for other in base if _same_place(layer, other)), None)
        if twin is not None and layer not in base:
            exchanged[layer] = (twin, tuple(layer if other == twin else other for other in base))
        elif base.count(layer) > 1:
            last = len(base) - 1 - base[::-1].index(layer)
            shortened[layer] = (*base[: last - 1], *base[last + 1 :])
    return Exchanges(base, exchanged, shortened)


def _same_place(one: Layer, other: Layer) -> bool:
    if one.op != other.op or one.op not in (BLOCK, CLASSIFIER):
        return False
    free = ("kernel", "mid_channels") if one.op == BLOCK else ("out_channels",)
    return one == dataclasses.replace(other, **{name: getattr(one, name) for name in free})


def solved(networks: Sequence[Model], measured: Sequence[float]) -> Rows:
    """Return the rows that non-negative least squares on the relative error finds from whole networks alone."""
    layers = list(dict.fromkeys(layer for network in networks for layer in network))
    counts = np.array([[network.count(layer) for layer in layers] for network in networks], dtype=float)
    found, _ = nnls(counts / np.asarray(measured)[:, None], np.ones(len(measured)))
    return dict(zip(layers, found.tolist(), strict=True))


def line(rows: Rows, networks: Sequence[Model], measured: Sequence[float]) -> Fixed:
    """Return constant and factor of the sums, by least squares on the relative error."""
    design = np.array([[1.0, total(rows, network)] for network in networks]) / np.asarray(measured)[:, None]
    constant, factor = np.linalg.lstsq(design, np.ones(len(measured)), rcond=None)[0]
    return float(constant), float(factor)


def total(rows: Rows, network: Model, fixed: Fixed = (0.0, 1.0)) -> float:
    """Return the predicted latency; a layer without a row counts as nothing."""
    return fixed[0] + fixed[1] * sum(rows.get(layer, 0.0) for layer in network)


def methods(
    setup: ProfilingSetup, files: ModelFiles, space: SearchSpace, checking: Sequence[Model], *, differences: bool
) -> tuple[Timed, Iterator[tuple[str, Rows, Fixed, float]]]:
    """Time everything, and yield each method with its rows, constant and factor, and seconds."""
    width, resolution = space.widths[0], space.resolutions[0]
    layers = list_distinct_layers(space, width, resolution)
    alone = make_isolated_models(layers)
    chains = pairs(layers)
    two = [two for _, two in chains.values()]
    covering = make_covering_networks(space, width, resolution)
    correcting = draw_correcting_networks(space, width, resolution, NETWORKS, seed=SEED)
    differing = exchanges(layers, plain(space, resolution)) if differences else None
    further = differing.models if differing else []
    timed = time_all(setup.timer, files, [*alone, *two, *covering, *correcting, *further, *checking])
    return timed, _scored(setup, files, layers, timed, alone, chains, covering, correcting, differing)


def _scored(
    setup: ProfilingSetup,
    files: ModelFiles,
    layers: Sequence[Layer],
    timed: Timed,
    alone: Sequence[Model],
    chains: Mapping[Layer, tuple[Model, Model]],
    covering: Sequence[Model],
    correcting: Sequence[Model],
    differing: Exchanges | None,
) -> Iterator[tuple[str, Rows, Fixed, float]]:
    none = (0.0, 1.0)
    measured = [timed.ms(network) for network in correcting]
    if setup.timer.times_operators:
        started = time.perf_counter()
        profiles = setup.timer.operators([files.path(network) for network in covering], seed=SEED)
        taken = time.perf_counter() - started
        shares = [compute_layer_shares(network, profile) for network, profile in zip(covering, profiles, strict=True)]
        found = merge_rows(covering, [timed.stats[network] for network in covering], shares)
        inside = _medians(found)
        yield "in-context", inside, none, timed.cost_s(covering) + taken
        fixed = line(inside, correcting, measured)
        yield "in-context, and a line", inside, fixed, timed.cost_s(covering, correcting) + taken
    isolated = _medians(make_isolated_rows(layers, timed.stats))
    bare = {layer: timed.ms(model) for layer, model in zip(layers, alone[1::2], strict=True)}
    chained = isolated | {
        layer: max(timed.ms(two) - timed.ms(one), SHORTEST_MS) for layer, (one, two) in chains.items()
    }
    two = [two for _, two in chains.values()]
    together = timed.cost_s(alone, correcting)
    yield "isolated, nothing taken off", bare, none, timed.cost_s(alone)
    yield "isolated", isolated, none, timed.cost_s(alone)
    yield "isolated, and a line", isolated, line(isolated, correcting, measured), together
    yield "isolated+whole-networks", correct_rows(isolated, correcting, measured), none, together
    yield "pairs", chained, none, timed.cost_s(alone, two)
    yield "pairs, and a line", chained, line(chained, correcting, measured), timed.cost_s(alone, two, correcting)
    yield (
        "pairs+whole-networks",
        correct_rows(chained, correcting, measured),
        none,
        timed.cost_s(alone, two, correcting),
    )
    whole = [*covering, *correcting]
    every = [timed.ms(network) for network in whole]
    yield "whole networks, least squares", solved(whole, every), none, timed.cost_s(whole)
    yield (
        "isolated+covering networks",
        correct_rows(isolated, covering, every[: len(covering)]),
        none,
        timed.cost_s(alone, covering),
    )
    yield "isolated+both", correct_rows(isolated, whole, every), none, timed.cost_s(alone, whole)
    if differing is not None:
        yield "differences", differing.rows(timed), none, timed.cost_s(differing.models)


def _medians(rows: Mapping[Layer, LatencyStats]) -> Rows:
    return {layer: stats.median_ms for layer, stats in rows.items()}


def prepare(runtime: str) -> contextlib.AbstractContextManager[ProfilingSetup]:
    """Open what measures this machine."""
    return open_host_setup(find_deployment(find_device("host"), TableSelector(runtime=runtime)), Silent(), SEED)


def measure(runtime: str, name: str, networks: int, *, differences: bool) -> None:
    """Print the table of a runtime and space."""
    resolution = SPACES[name]
    space = find_space(name).with_resolutions((resolution,))
    # spread by arithmetic alone, so that no method has a say in what it is scored on
    checking = choose_spread_networks(space, made_up_table(space), networks, np.random.default_rng(SEED + 1))
    load = os.getloadavg()[0]
    with prepare(runtime) as setup, tempfile.TemporaryDirectory(prefix="natdeploy-") as folder:
        files = ModelFiles(setup.exporter, Path(folder), seed=SEED)
        timed, scored = methods(setup, files, space, checking, differences=differences)
        rows = list(scored)
    truth = [timed.ms(network) for network in checking]
    unsteady = np.median(
        [(timed.stats[model].p90_ms - timed.stats[model].p10_ms) / timed.ms(model) for model in checking]
    )
    span = f"{min(truth):.2f} to {max(truth):.2f} ms, runs of one spread over {100 * unsteady:.1f} %"
    print(f"\n{runtime}, {name} at {resolution}: {networks} networks in no fit, {span}; load {load:.2f} before")
    print("method                          MAPE %  max %  within 5 %   tau       s")
    for method, found, fixed, seconds in rows:
        result = compute_errors([max(total(found, network, fixed), SHORTEST_MS) for network in checking], truth)
        print(
            f"{method:30} {result.mape_percent:7.2f} {result.max_error_percent:6.1f} {result.within_5_percent:11.2f} "
            f"{result.kendall_tau:5.3f} {seconds:7.1f}",
            flush=True,
        )


def compare_files() -> None:
    """Print how long the files of both writers take to run."""
    space = find_space("starter").with_resolutions((48,))
    print("direct ms  converted ms  ratio")
    for row in genotype.sample(space, 3, np.random.default_rng(SEED)):
        layers = walk(space, genotype.decode(space, row), CLASSIFIER_COUNTS[0])
        with prepare("litert") as setup, tempfile.TemporaryDirectory(prefix="natdeploy-") as folder:
            paths = []
            for index, exporter in enumerate((TfliteDirectExporter(), TfliteExporter())):
                (Path(folder) / str(index)).mkdir()
                paths.append(ModelFiles(exporter, Path(folder) / str(index), seed=SEED).path(layers))
            direct, converted = (stats.median_ms for stats in setup.timer.time(paths, seed=SEED).stats)
        print(f"{direct:9.3f} {converted:13.3f} {direct / converted:6.3f}", flush=True)


def main() -> None:
    """Print the tables."""
    given = [argument for argument in sys.argv[1:] if argument != "differences"]
    if given[:1] == ["files"]:
        compare_files()
        return
    runtimes = given[:1] or ["litert", "onnxruntime"]
    names = given[1:2] or list(SPACES)
    networks = int(given[2]) if len(given) > 2 else 50
    for _ in range(int(given[3]) if len(given) > 3 else 1):
        for runtime in runtimes:
            for name in names:
                measure(runtime, name, networks, differences="differences" in sys.argv)


if __name__ == "__main__":
    main()
