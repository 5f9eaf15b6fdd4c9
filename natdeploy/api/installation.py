"""What is installed on this machine, what is missing, and what is broken."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from natdeploy.api.system import tables
from natdeploy.io.devices import scan_devices
from natdeploy.io.home import home_folder
from natdeploy.machine import list_gpus


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that `doctor` looked at; `state` is `ok`, `missing` or `broken`."""

    what: str
    state: str
    detail: str
    needed_for: str


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


def doctor() -> tuple[Finding, ...]:
    """Check what is installed, what is missing and what is broken."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    findings = [Finding(what="python", state="ok", detail=python, needed_for="natdeploy")]
    findings += [_package(name, purpose) for name, purpose in _PACKAGES.items()]
    findings += [_program(name, purpose) for name, purpose in _PROGRAMS.items()]
    findings.append(_gpu(list_gpus(), _read_cuda_version()))
    findings.append(_home(home_folder()))
    findings += _devices()
    findings += [
        Finding(what="latency table", state="broken", detail=table.problem, needed_for=table.device or "every device")
        for table in tables()
        if table.problem is not None
    ]
    return tuple(findings)


def _devices() -> list[Finding]:
    known, damaged = scan_devices()
    found = [("ok", f"{len(known)} known"), *(("broken", error.message) for error in damaged.values())]
    return [Finding(what="devices", state=state, detail=detail, needed_for="profiling") for state, detail in found]


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


def _gpu(names: Sequence[str], cuda: str | None) -> Finding:
    """Say which GPUs there are, and whether the installed torch can use them.

    Args:
        names: Names of the GPUs.
        cuda: CUDA version of the installed torch; None if it has none.
    """
    state, detail = "ok", ", ".join(names)
    if not names:
        state, detail = "missing", "none: everything runs on the CPU"
    elif cuda is None:
        state, detail = "missing", f"{detail}, but the installed torch is a build without CUDA"
    return Finding(what="GPU", state=state, detail=detail, needed_for="faster training, TensorRT on this machine")


def _read_cuda_version() -> str | None:
    """Return the CUDA version of the installed torch from its version file, because an import takes seconds."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    found = re.search(r"""^cuda\b.*=\s*['"]([^'"]+)['"]""", text, re.MULTILINE)
    return found[1] if found else None


def _home(folder: Path) -> Finding:
    nearest = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    writable = nearest.is_dir() and os.access(nearest, os.W_OK)
    detail = str(folder) if writable else f"{nearest} cannot be written; set NATDEPLOY_HOME"
    return Finding(what="data folder", state="ok" if writable else "broken", detail=detail, needed_for="latency tables")
