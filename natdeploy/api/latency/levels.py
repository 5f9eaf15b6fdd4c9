"""The one way to time files and networks on a device: in turns with the reference networks of its table."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.api.context import Context
from natdeploy.api.latency.timers import TENSORRT, make_timing_exporter, open_timer
from natdeploy.core.device import Deployment
from natdeploy.core.latency import LatencyStats, LatencyTable
from natdeploy.core.layers import Layer
from natdeploy.core.space import SearchSpace
from natdeploy.core.timed import Disturbance
from natdeploy.files import atomic_path
from natdeploy.io.devices import find_device
from natdeploy.io.home import home_folder
from natdeploy.io.spaces import find_space, shipped_spaces
from natdeploy.io.table_store import StoredTable, find_table
from natdeploy.temporary import remove_stale, temporary_folder
from natdeploy.version import __version__

if TYPE_CHECKING:
    from natdeploy.ports import Exporter, ModelTimer, Reporter
    from natdeploy.profilers.references import Reference

# How long a search or an export that is nearly finished waits for another job on its device.
PATIENCE_S = 600.0
_REFERENCE_FOLDER = "references"
_SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
    """The speed of a machine when something was timed, relative to its speed when its latency table was made.

    Args:
        value: The level; None if it is not known.
        reason: Why it is not known.
    """

    value: float | None
    reason: str = ""

    def apply(self, latency_ms: float) -> float | None:
        """Return what a latency would have been when the table was made; None if the level is not known."""
        return None if self.value is None else latency_ms * self.value

    def __str__(self) -> str:
        if self.value is None:
            return f"no level: {self.reason}"
        return f"the device now has {self.value:.2f} of the speed at which its table was made"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LevelledTimes:
    """Latencies of files that were timed together.

    Args:
        stats: Latency of each file as it was timed.
        level: Level of the machine meanwhile.
        disturbance: What else ran meanwhile; None if the device does not tell.
    """

    stats: tuple[LatencyStats, ...]
    level: Level
    disturbance: Disturbance | None

    def levelled_ms(self, place: int = 0) -> float | None:
        """Return the levelled median of a file, in milliseconds; None if the level is not known."""
        return self.level.apply(self.stats[place].median_ms)

    def comparable_ms(self, place: int = 0) -> float:
        """Return what is compared with a target or a prediction: the levelled median, or the raw one without level."""
        levelled = self.levelled_ms(place)
        return self.stats[place].median_ms if levelled is None else levelled

    def tell(self, what: str, reporter: Reporter) -> None:
        """Say at which level `what` was timed, and what disturbed."""
        reporter.info(f"{what}: {self.level}")
        if self.disturbance is not None and self.disturbance.is_notable:
            reporter.warn(f"{what}: {self.disturbance}")

    def to_json(self) -> dict[str, Any]:
        """Return level and disturbance as plain values."""
        return {
            "level": self.level.value,
            "levelled_ms": self.levelled_ms(),
            "disturbance": describe_disturbance(self.disturbance),
        }


def describe_disturbance(disturbance: Disturbance | None) -> dict[str, Any] | None:
    """Return a disturbance as plain values."""
    if disturbance is None:
        return None
    return {**dataclasses.asdict(disturbance), "excess": disturbance.excess}


def time_networks(
    deployment: Deployment,
    networks: Sequence[tuple[Layer, ...]],
    *,
    seed: int,
    context: Context,
    patience_s: float = 0.0,
) -> LevelledTimes:
    """Time whole networks with random weights on a device.

    Args:
        deployment: The device, and how it is used.
        networks: Layers of each network.
        seed: Seed of weights, images and order.
        context: What opens the connection.
        patience_s: Seconds to wait for the end of another job on the device.

    Raises:
        As `open_timer` and `natdeploy.ports.ModelTimer.time`.
    """
    from natdeploy.profilers.model_files import ModelFiles

    device = find_device(deployment.device)
    with temporary_folder() as folder:
        files = ModelFiles(make_timing_exporter(device, deployment), folder, seed=seed)
        with open_timer(device, deployment, context, patience_s=patience_s) as timer:
            return time_files(timer, [files.path(layers) for layers in networks], deployment, seed=seed)


def time_files(timer: ModelTimer, paths: Sequence[Path], deployment: Deployment, *, seed: int) -> LevelledTimes:
    """Time model files in turns with the reference networks of the deployment's table, so that their level is known.

    Args:
        timer: The opened timer of the device.
        paths: The files.
        deployment: The device, and how it is used.
        seed: Seed of images and order.

    Raises:
        As `natdeploy.ports.ModelTimer.time`.
    """
    found = _find_reference(timer, deployment)
    if isinstance(found, str):
        timed = timer.time(paths, seed=seed)
        return LevelledTimes(stats=timed.stats, level=Level(value=None, reason=found), disturbance=timed.disturbance)
    references = _write_references(found, deployment)
    timed = timer.time([*paths, *references], seed=seed)
    level = Level(value=found.compute_level(timed.stats[len(paths) :]))
    return LevelledTimes(stats=timed.stats[: len(paths)], level=level, disturbance=timed.disturbance)


def _find_reference(timer: ModelTimer, deployment: Deployment) -> Reference | str:
    """Return the reference of the deployment's table, or why there is none."""
    from natdeploy.profilers.references import read_reference

    if deployment.runtime == TENSORRT:
        return "the engines of its reference networks would have to be built first, which takes minutes"
    stored = _find_table(deployment)
    if stored is None:
        return f"there is no latency table of {deployment}"
    table = stored.read()
    reference = read_reference(table, _list_spaces(table))
    if reference is None:
        return f"{stored.path} has no reference networks; natdeploy profile --fresh measures some"
    if table.fingerprint != timer.fingerprint():
        return f"{stored.path} is of another machine, runtime or way of timing"
    return reference


def _list_spaces(table: LatencyTable) -> list[SearchSpace]:
    """Return the spaces that come with natdeploy, and the one in a file that a table was made for, if it is there."""
    entry = table.conditions.get("reference")
    own = Path(str(entry.get("supernet", ""))) if isinstance(entry, dict) else Path()
    return [*shipped_spaces(), *([find_space(own)] if own.is_file() else [])]


def _find_table(deployment: Deployment) -> StoredTable | None:
    """Return the table of a deployment; where its precision has none, the one of fp32, whose level is the same."""
    as_fp32 = dataclasses.replace(deployment, precision="fp32", batch=1)
    return find_table(deployment) or find_table(as_fp32)


def _write_references(reference: Reference, deployment: Deployment) -> list[Path]:
    """Return the files of the reference networks. They are written once and kept, because writing takes seconds."""
    folder = home_folder() / _REFERENCE_FOLDER
    exporter: Callable[[], Exporter] = functools.cache(
        lambda: make_timing_exporter(find_device(deployment.device), deployment)
    )
    remove_stale(folder)
    suffix = ".tflite" if deployment.runtime == "litert" else ".onnx"
    return [
        _write_reference(layers, folder / f"{_make_key(layers, deployment)}{suffix}", exporter)
        for layers in reference.place.make_networks()
    ]


def _write_reference(layers: tuple[Layer, ...], path: Path, exporter: Callable[[], Exporter]) -> Path:
    if not path.exists():
        from natdeploy.profilers.model_files import ModelFiles

        with temporary_folder() as folder:
            written = ModelFiles(exporter(), folder, seed=_SEED).path(layers)
            with atomic_path(path) as temporary:
                shutil.copyfile(written, temporary)
    return path


def _make_key(layers: tuple[Layer, ...], deployment: Deployment) -> str:
    content = repr((__version__, deployment.device, deployment.runtime, layers))
    return hashlib.sha256(content.encode()).hexdigest()[:24]
