"""What natdeploy knows about a device before it measures anything, and how a device is used."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from natdeploy.core.checked import check_fields
from natdeploy.core.ranges import Positive
from natdeploy.errors import require_known

# The device that is this machine, whichever that is.
HOST = "host"
RUNTIMES = ("onnxruntime", "litert", "tensorrt")
PRECISIONS = ("fp32", "fp16", "int8")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RooflineFigures:
    """How far the operators of a network come in one precision.

    Args:
        bandwidth_gb_s: Memory bandwidth in 10^9 bytes per second.
        efficiency: Share of the peak that an operator reaches, by kind: `dense`, `pointwise`, `depthwise`.
        operator_ms: Time to launch one operator.
    """

    bandwidth_gb_s: float
    efficiency: Mapping[str, float]
    operator_ms: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Roofline(RooflineFigures):
    """Numbers from which the latency of a layer is estimated; see `natdeploy.profilers.roofline`.

    Args:
        bandwidth_gb_s: As in `RooflineFigures`, as the next two, for all precisions that have no figures of their own.
        efficiency: See above.
        operator_ms: See above.
        peak_gmadds: Peak rate in 10^9 multiply-adds per second with the default number of threads, by precision.
        own_figures: The figures of precisions that have their own.
    """

    peak_gmadds: Mapping[str, float]
    own_figures: Mapping[str, RooflineFigures] = dataclasses.field(default_factory=dict)

    def get_figures(self, precision: str) -> RooflineFigures:
        """Return the figures of a precision."""
        return self.own_figures.get(precision, self)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A device: what it is, how it is reached, and how it is used by default.

    Args:
        name: Name that commands use.
        kind: `mobile-cpu`, `jetson-gpu`, `server-cpu` or `server-gpu`.
        chip: Processor.
        models: What such a device calls itself, one of these; empty if that is not known. `*` stands for the rest of a
            word.
        memory_gb: Memory, in 10^9 bytes.
        runtime: Default runtime, one of `RUNTIMES`.
        precision: Default precision, one of `PRECISIONS`.
        threads: Default number of threads.
        transport: `local`, `ssh` or `adb`.
        address: Where the transport finds the device: `host` or `user@host` for ssh, the serial for adb; None if it
            is not known.
        port: Port of the ssh server; None for ssh's own choice.
        program: Path of trtexec or benchmark_model on the device; None for the usual places.
        python: Name of python3 on the device; None for `python3`.
        tensorrt: Version of TensorRT on the device; None if there is none or it is not known.
        max_opset: Highest ONNX opset that the device's runtime imports; None if there is no limit.
        missing_operators: ONNX operators that the device's runtime does not import.
        slow_precisions: Precisions that the device runs no faster than the next wider one.
        roofline: Numbers for estimates; None if the device cannot be estimated.
        source: Where the numbers come from.
    """

    name: str
    kind: str
    chip: str
    memory_gb: float | None
    runtime: str
    precision: str
    threads: int
    transport: str
    address: str | None = None
    port: int | None = None
    program: str | None = None
    python: str | None = None
    models: tuple[str, ...] = ()
    tensorrt: str | None = None
    max_opset: int | None = None
    missing_operators: tuple[str, ...] = ()
    slow_precisions: tuple[str, ...] = ()
    roofline: Roofline | None = None
    source: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A device and the way it is used: what a latency is measured on.

    Args:
        device: Name of the device.
        runtime: Runtime id.
        precision: Precision.
        batch: Images in one call.
        threads: Threads of the runtime.
    """

    device: str
    runtime: str
    precision: str
    batch: int
    threads: int

    @property
    def file_name(self) -> str:
        """Name of the table of this deployment within its device's folder."""
        return f"{self.runtime}-{self.precision}-b{self.batch}-t{self.threads}.csv"

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.device} ({self.runtime}, {self.precision}, batch {self.batch}, {threads})"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TableSelector:
    """Selects one of a device's latency tables by the way the device is used.

    Args:
        runtime: Runtime, one of `RUNTIMES`; None for the device's default, as for the next two.
        precision: Precision, one of `PRECISIONS`.
        threads: Threads of the runtime.
        batch: Images in one call; None for 1.

    Raises:
        InputError: The runtime or the precision is unknown, or a number is below 1.
    """

    runtime: str | None = None
    precision: str | None = None
    batch: Positive | None = None
    threads: Positive | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.runtime is not None:
            require_known("runtime", self.runtime, RUNTIMES)
        if self.precision is not None:
            require_known("precision", self.precision, PRECISIONS)

    @property
    def given(self) -> Mapping[str, str | int]:
        """What is not left to the defaults, by name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    def matches(self, deployment: Deployment) -> bool:
        """Tell whether a deployment agrees with everything that is given."""
        return all(getattr(deployment, name) == value for name, value in self.given.items())


DEFAULT_TABLE = TableSelector()


def find_deployment(device: Device, selector: TableSelector = DEFAULT_TABLE) -> Deployment:
    """Return how a device is used: as the selector says; what it leaves open is the device's default."""
    return Deployment(
        device=device.name,
        runtime=selector.runtime or device.runtime,
        precision=selector.precision or device.precision,
        batch=selector.batch or 1,
        threads=selector.threads or device.threads,
    )
