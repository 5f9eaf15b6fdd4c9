"""What natdeploy knows of a device before it measures anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

RUNTIMES = ("onnxruntime", "litert", "tensorrt")
PRECISIONS = ("fp32", "fp16", "int8")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Roofline:
    """Figures that an estimate of a layer's latency is made of; see `natdeploy.profilers.roofline`.

    Args:
        peak_gmadds: Peak rate in 10^9 multiply-adds per second, by precision, of the default number of threads.
        bandwidth_gb_s: Memory bandwidth in 10^9 bytes per second.
        efficiency: Share of the peak that an operator reaches, by kind: `dense`, `pointwise`, `depthwise`.
        operator_ms: Time that the launch of one operator takes.
    """

    peak_gmadds: Mapping[str, float]
    bandwidth_gb_s: float
    efficiency: Mapping[str, float]
    operator_ms: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A device: what it is, how it is reached and what runs there when nothing else is asked for.

    Args:
        name: Name that commands use.
        kind: `mobile-cpu`, `jetson-gpu`, `server-cpu` or `server-gpu`.
        chip: Processor.
        memory_gb: Memory, in 10^9 bytes.
        runtime: Default runtime, one of `RUNTIMES`.
        precision: Default precision, one of `PRECISIONS`.
        threads: Default number of threads.
        transport: `local`, `ssh` or `adb`.
        address: Where the transport finds the device: `host` or `user@host` as ssh understands it, or adb's serial;
            None where nobody has said.
        port: Port of the ssh server; ssh's own choice where None.
        program: Path of trtexec or benchmark_model on the device, where it lies in an unusual place.
        python: Name of python3 on the device; the usual one where None.
        tensorrt: Version of TensorRT on the device; None where there is none or nobody has said.
        max_opset: Highest ONNX opset that the device's runtime imports, where it is limited.
        missing_operators: ONNX operators that the device's runtime does not import.
        slow_precisions: Precisions that the device runs no faster than the next wider one.
        roofline: Figures for estimates; None where a device is never estimated.
        source: Where the figures come from.
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
    tensorrt: str | None = None
    max_opset: int | None = None
    missing_operators: tuple[str, ...] = ()
    slow_precisions: tuple[str, ...] = ()
    roofline: Roofline | None = None
    source: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """What a latency is measured of: a device with a runtime and the way it is used.

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
