"""Exporting a network: write a file, check it, measure it, and only then give it its name."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from natdeploy.errors import CheckFailedError, InputError, NoOutputsError, OutputError
from natdeploy.export.manifest import Description, format_manifest, manifest_path
from natdeploy.export.parity import (
    Accuracy,
    Labelled,
    Limits,
    Outputs,
    Parity,
    check_accuracy,
    compare,
    compute_reference,
    explain_unfit_reference,
    find_limits,
    require_images,
)
from natdeploy.files import atomic_path
from natdeploy.ports import Exporter, Images, Runtime
from natdeploy.runtimes.litert_delegation import Delegation
from natdeploy.runtimes.model_input import require_threads
from natdeploy.supernet.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """An exported file that passed its check.

    Args:
        format: Name of the format.
        artifact: The file.
        manifest: Its manifest.
        size_bytes: Size of the file.
        seconds: Duration of the export, including check and measurement.
        parity: Comparison with the network.
        latency_ms: Measured median latency; None if not measured.
        precision: Precision in which the file computes.
        accuracy: Top-1 of the network and of the file; None if not measured.
        delegation: How XNNPACK runs a TFLite file; None for other formats.
        fp32_latency_ms: Latency of the same network in fp32, measured in turns with it; None if not measured.
        device: Device on which the latency was measured.
        extra_files: Further files that were written: the log of a build, or the script that builds an engine.
    """

    format: str
    artifact: Path
    manifest: Path
    size_bytes: int
    seconds: float
    parity: Parity
    latency_ms: float | None
    precision: str = "fp32"
    accuracy: Accuracy | None = None
    delegation: Delegation | None = None
    fp32_latency_ms: float | None = None
    device: str = "host"
    extra_files: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that were written."""
        return self.artifact, self.manifest, *self.extra_files


def export_network(
    network: Network,
    *,
    exporter: Exporter,
    runtime: Runtime,
    output_path: Path,
    images: Images,
    description: Description,
    latency: Callable[[Path], Mapping[str, Any] | None],
    validation: Iterable[Labelled] | None = None,
    threads: int = 1,
    clock_seconds: Callable[[], float] = time.perf_counter,
) -> Exported:
    """Write `network` to `output_path` with its manifest, if the file computes what the network computes.

    A file that does not is kept as `<output_path>.rejected`. On any error, an earlier `output_path` and its manifest
    stay as they were.

    Args:
        network: The network; it is not changed.
        exporter: Writes the file.
        runtime: Opens the file for the check.
        output_path: Final name of the file.
        images: At least 2 `n x 3 x r x r` images for the check, in the form that the file takes.
        description: What else the manifest says.
        latency: Measures a file and returns `median_ms`, further figures and the fingerprint of the machine; or
            returns None. `fp32_median_ms` is that of the same network in fp32.
        validation: Labelled images. If given, the file is checked by its top-1 on them instead of by the similarity of
            its outputs.
        threads: Threads of the runtime during the check.
        clock_seconds: Monotonic time in seconds.

    Raises:
        CheckFailedError: The file does not compute what the network computes; or this cannot be decided, because the
            outputs of the network are not finite or do not vary between the images.
        InputError: The images do not fit the network, or `threads` is below 1.
        MissingRuntimeError: A package that the format needs is not installed.
        OutputError: The file cannot be written.
    """
    started = clock_seconds()
    require_threads(threads)
    require_images(network, images)
    tools = {runtime.id: runtime.version()}
    _require_file_name(output_path)
    manifest = manifest_path(output_path)
    with atomic_path(manifest) as manifest_content, atomic_path(output_path) as content:
        reference = _compute_fit_reference(network, images, output_path)
        written = exporter.write(network, content)
        precision = str(written.get("precision", "fp32"))
        limits = find_limits(precision, random_weights=description.random_weights) if validation is None else Limits()
        checked = _Check(images=images, reference=reference, limits=limits, validation=validation)
        parity, accuracy = _check(network, content, output_path, runtime=runtime, check=checked, threads=threads)
        measured = latency(content) or {}
        text = format_manifest(
            output_path,
            content,
            format_name=exporter.format,
            description=description,
            written=written,
            tools=tools,
            parity=parity,
            latency=measured or None,
            accuracy=accuracy,
        )
        manifest_content.write_text(text, encoding="utf-8")
    _rejected_path(output_path).unlink(missing_ok=True)
    return Exported(
        format=exporter.format,
        artifact=output_path,
        manifest=manifest,
        size_bytes=output_path.stat().st_size,
        seconds=clock_seconds() - started,
        parity=parity,
        latency_ms=measured.get("median_ms"),
        precision=precision,
        accuracy=accuracy,
        delegation=Delegation(**written["delegation"]) if written.get("delegation") else None,
        fp32_latency_ms=measured.get("fp32_median_ms"),
        device=str(measured.get("device", "host")),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class _Check:
    images: Images
    reference: Outputs
    limits: Limits
    validation: Iterable[Labelled] | None


def _compute_fit_reference(network: Network, images: Images, output_path: Path) -> Outputs:
    """Return the outputs of the network, checked before minutes are spent on a file of broken weights."""
    reference = compute_reference(network, images)
    reason = explain_unfit_reference(reference)
    if reason is not None:
        msg = f"{output_path} is not written: {reason}"
        hint = "either the subnet is broken, or all images of the check are alike"
        raise CheckFailedError(msg, hint=hint)
    return reference


def _check(
    network: Network, content: Path, output_path: Path, *, runtime: Runtime, check: _Check, threads: int
) -> tuple[Parity, Accuracy | None]:
    """Compare the file with the network. A file that fails is renamed to `<output_path>.rejected`."""
    try:
        session = runtime.open(content, threads=threads)
        parity = compare(check.reference, session.run(check.images), limits=check.limits)
    except NoOutputsError as error:
        return Parity.not_run(error.message), None
    except InputError as error:
        _reject(content, output_path, f"{runtime.id} cannot run it: {error.message}")
    if parity.reason is not None:
        _reject(content, output_path, f"{parity.reason} ({parity})")
    if check.validation is None:
        return parity, None
    accuracy = check_accuracy(network, session, check.validation)
    if accuracy.reason is not None:
        _reject(
            content, output_path, accuracy.reason, advice="fp16 loses less, and more images of --calibration may help; "
        )
    return parity, accuracy


def _reject(content: Path, output_path: Path, reason: str, advice: str = "") -> NoReturn:
    content.replace(_rejected_path(output_path))
    msg = f"{output_path}: the exported file does not compute what the network computes: {reason}"
    raise CheckFailedError(msg, hint=f"{advice}the file is kept as {_rejected_path(output_path)}")


def _rejected_path(output_path: Path) -> Path:
    return output_path.with_name(output_path.name + ".rejected")


def _require_file_name(output_path: Path) -> None:
    if output_path.is_dir():
        msg = f"cannot write {output_path}: it is a folder"
        raise OutputError(msg)
