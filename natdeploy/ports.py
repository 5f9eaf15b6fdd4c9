"""The interfaces between the parts of natdeploy. Only `natdeploy.api` chooses their implementations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.architecture import Architecture
from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import Layer
from natdeploy.core.operators import ModelProfile
from natdeploy.core.space import SearchSpace
from natdeploy.core.timed import Timed
from natdeploy.errors import OutputError

if TYPE_CHECKING:
    from natdeploy.supernet.network import Network

Images = NDArray[np.float32]


class Clock(Protocol):
    """Source of time. It is an argument so that tests need not wait."""

    def now(self) -> datetime:
        """Return the time of day, UTC."""
        ...

    def seconds(self) -> float:
        """Return a monotonic time in seconds, as fine as the machine has it."""
        ...


class Reporter(Protocol):
    """Receives messages and progress of the work."""

    def info(self, message: str) -> None:
        """Give the user a message."""
        ...

    def warn(self, message: str) -> None:
        """Warn the user."""
        ...

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Report that `done` of `total` steps of `stage` are finished. `detail` describes the latest one."""
        ...


class Session(Protocol):
    """An opened model file."""

    @property
    def input_size(self) -> int:
        """Height and width of the images that the model takes."""
        ...

    def run(self, images: Images) -> NDArray[np.float32]:
        """Map `n x 3 x r x r` images to `n x classes` outputs, whatever the batch and layout of the file."""
        ...


class Runtime(Protocol):
    """A program that runs model files."""

    @property
    def id(self) -> str:
        """One of `natdeploy.core.device.RUNTIMES`."""
        ...

    @property
    def suffix(self) -> str:
        """Suffix of the model files that it runs."""
        ...

    def version(self) -> str:
        """Return the installed version.

        Raises:
            MissingRuntimeError: No version is installed.
        """
        ...

    def open(self, path: Path, *, threads: int) -> Session:
        """Open a model file.

        Raises:
            MissingRuntimeError: The runtime is not installed.
            InputError: The file is missing, or is not a model that the runtime can open.
        """
        ...


class Exporter(Protocol):
    """A writer of one file format."""

    @property
    def format(self) -> str:
        """Name of the format in commands."""
        ...

    @property
    def suffix(self) -> str:
        """Suffix of the file."""
        ...

    def write(self, network: Network, output_path: Path) -> Mapping[str, Any]:
        """Write `network` to `output_path`, and return the manifest's entries for the file: input, output, versions.

        Raises:
            MissingRuntimeError: A package that the format needs is not installed.
            OutputError: The file cannot be written.
        """
        ...


class ModelTimer(Protocol):
    """A device that times model files with one runtime, used in one way.

    All its methods raise `DeviceUnreachableError` if the device cannot be reached, and `MissingRuntimeError` if the
    runtime is not installed there.
    """

    @property
    def suffix(self) -> str:
        """Suffix of the model files that it runs."""
        ...

    @property
    def times_operators(self) -> bool:
        """Whether the runtime can time each operator of a model."""
        ...

    def version(self) -> str:
        """Return the version of the runtime."""
        ...

    def fingerprint(self) -> str:
        """Return what identifies the device and its runtime: everything that latencies depend on."""
        ...

    def conditions(self) -> dict[str, Any]:
        """Return the conditions that may change between measurements: governor, clock, temperature."""
        ...

    def protocol(self) -> dict[str, Any]:
        """Return the settings of the timing, as plain values: warm-up, rounds, runs."""
        ...

    def with_effort(self, effort: float) -> Self:
        """Return a timer that takes about `effort` times as long, between 0 and 1; less effort means more noise."""
        ...

    def time(self, paths: Sequence[Path], *, seed: int) -> Timed:
        """Return the latency of each model file; all files are timed interleaved, and nothing runs in this process.

        Raises:
            InputError: A file is missing, or the runtime cannot open it.
        """
        ...

    def operators(self, paths: Sequence[Path], *, seed: int) -> list[ModelProfile]:
        """Return the operator times of each model file, from other runs than those of `time`.

        Raises:
            InputError: A file is missing, the runtime does not take it, or it cannot time operators.
        """
        ...


class Profiler(Protocol):
    """A method that finds the latency of each layer of a space by timing model files."""

    @property
    def method(self) -> str:
        """Name of the method in latency tables."""
        ...

    def measure(
        self, space: SearchSpace, width: float, resolution: int, references: Sequence[tuple[Layer, ...]]
    ) -> tuple[dict[Layer, LatencyStats], list[LatencyStats]]:
        """Return the rows of all layers of a width and resolution, and the latencies of `references`."""
        ...


class NetworkMeter(Protocol):
    """A device on which whole networks are run."""

    def measure(self, networks: Sequence[tuple[Layer, ...]]) -> Timed:
        """Return the latency of each network, in order."""
        ...


class AccuracyEvaluator(Protocol):
    """Evaluates architectures with the present weights of a supernet."""

    def top1(self, architecture: Architecture) -> float:
        """Return the top-1 accuracy on validation images, between 0 and 1."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """The result of a command that ran on a device."""

    exit_code: int
    stdout: str
    stderr: str


class Transport(Protocol):
    """An open connection to a device, with a temporary folder there that is removed when the connection is closed."""

    @property
    def name(self) -> str:
        """Name of the device."""
        ...

    @property
    def folder(self) -> str:
        """Path of the folder on the device; commands run there."""
        ...

    def run(self, command: Sequence[str], *, timeout_s: float, stdin: bytes = b"") -> Finished:
        """Run a command, and return its output whatever its exit code.

        Raises:
            DeviceUnreachableError: The connection is lost, or the time is over, which ends the command.
        """
        ...

    def send(self, source: Path, remote_path: str) -> None:
        """Copy a local file to a path on the device.

        Raises:
            DeviceUnreachableError: The connection is lost.
            OutputError: The device cannot store the file, for instance because it is full.
        """
        ...

    def fetch(self, remote_path: str, output_path: Path) -> None:
        """Copy a file of the device to a local path.

        Raises:
            DeviceUnreachableError: The connection is lost.
            InputError: The device has no such file.
            OutputError: The local file cannot be written.
        """
        ...

    def make_write_error(self, reason: str, what: str) -> OutputError:
        """Return the error for `what` the device could not write, for the reason that it gave."""
        ...

    def abort(self) -> None:
        """Cut the connection, so that calls which wait for the device fail; another thread may call this."""
        ...
