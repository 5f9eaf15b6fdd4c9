"""What is known and installed here: devices, tables, and the state of the machine."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from natdeploy.api.results import DeviceState, DeviceTable, Finding, TableState
from natdeploy.core.device import Device
from natdeploy.errors import InputError
from natdeploy.io.devices import load_devices
from natdeploy.io.home import home_folder
from natdeploy.io.table_store import StoredTable, list_tables

_PACKAGES = {
    "torch": "everything that trains or exports",
    "torchvision": "image folders",
    "onnx": "ONNX export",
    "onnxruntime": "profiling and checking ONNX files",
    "pymoo": "search",
    "scikit-learn": "the digits data",
    "litert-torch": "TFLite export",
    "ai-edge-litert": "checking and measuring TFLite files",
}
_TFLITE = ("litert-torch", "ai-edge-litert")
_PROGRAMS = {"trtexec": "TensorRT engines", "adb": "Android devices", "ssh": "boards and servers"}


def devices() -> tuple[DeviceState, ...]:
    """Return every known device with its state.

    A latency table that cannot be read is named with the reason, and hides nothing else.

    Raises:
        InputError: The user's device file is not valid.
    """
    stored = list_tables()
    return tuple(
        _device_state(device, [table for table in stored if table.target.device == device.name])
        for device in load_devices().values()
    )


def tables() -> tuple[TableState, ...]:
    """Return every latency table, the user's own and the packaged ones.

    Raises:
        InputError: A table is not valid; the message names file, line and reason.
    """
    states = []
    for stored in list_tables():
        table = stored.read()
        states.append(
            TableState(
                device=stored.target.device,
                runtime=stored.target.runtime,
                precision=stored.target.precision,
                batch=stored.target.batch,
                threads=stored.target.threads,
                provenance=table.provenance,
                packaged=stored.packaged,
                rows=len(table.rows),
                mape_percent=table.validation.mape_percent if table.validation else None,
                path=stored.path,
            )
        )
    return tuple(states)


def doctor() -> tuple[Finding, ...]:
    """Look at what is installed, reachable and broken."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    findings = [Finding(what="python", state="ok", detail=python, needed_for="natdeploy")]
    findings += [_package(name, purpose) for name, purpose in _PACKAGES.items()]
    findings += [_program(name, purpose) for name, purpose in _PROGRAMS.items()]
    findings.append(_home(home_folder()))
    return tuple(findings)


def _device_state(device: Device, stored: Sequence[StoredTable]) -> DeviceState:
    if device.transport == "local":
        state, reachable = "reachable", True
    elif device.address is None:
        state, reachable = "not connected", False
    else:
        state, reachable = "not checked", None
    return DeviceState(
        name=device.name,
        kind=device.kind,
        chip=device.chip,
        runtime=device.runtime,
        precision=device.precision,
        threads=device.threads,
        transport=device.transport,
        state=state,
        reachable=reachable,
        tables=tuple(map(_device_table, stored)),
    )


def _device_table(stored: StoredTable) -> DeviceTable:
    provenance, problem = None, None
    try:
        provenance = stored.read().provenance
    except InputError as error:
        problem = error.message
    target = stored.target
    return DeviceTable(
        runtime=target.runtime,
        precision=target.precision,
        batch=target.batch,
        threads=target.threads,
        provenance=provenance,
        packaged=stored.packaged,
        problem=problem,
    )


def _package(name: str, purpose: str) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        install = 'pip install "natdeploy[tflite]"' if name in _TFLITE else "pip install natdeploy"
        return Finding(what=name, state="missing", detail=install, needed_for=purpose)
    return Finding(what=name, state="ok", detail=version, needed_for=purpose)


def _program(name: str, purpose: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(what=name, state="missing", detail="not on PATH", needed_for=purpose)
    return Finding(what=name, state="ok", detail=path, needed_for=purpose)


def _home(folder: Path) -> Finding:
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    writable = nearest.is_dir() and os.access(nearest, os.W_OK)
    detail = str(folder) if writable else f"{nearest} cannot be written; set NATDEPLOY_HOME"
    return Finding(what="data folder", state="ok" if writable else "broken", detail=detail, needed_for="latency tables")
