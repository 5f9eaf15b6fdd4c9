"""The manifest of an exported file: what a program must know to use the file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from natdeploy.documents import parse_json
from natdeploy.errors import InputError
from natdeploy.export.parity import Accuracy, Parity
from natdeploy.export.pre_post_processing import PIXEL_RANGE
from natdeploy.readers import MODEL_BYTES, read_bytes, read_text
from natdeploy.version import __version__

FORMAT = "natdeploy.manifest/1"
_SUFFIX = ".manifest.json"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What the caller of an export knows about the network.

    Args:
        subnet: Path of the subnet's file, or its architecture under the keys `w, r, d, e, ks`.
        mean: Mean of each input channel, for normalization; None without a task.
        std: Standard deviation of each input channel; None without a task.
        labels: Name of each class, in the order of the logits; None if unknown.
        levels: Values of 16-bit grey images that become 0 and 255; None if they are the whole range.
        checked_on: Images of the parity check: `task images`, `calibration images` or `noise`.
        random_weights: Whether the network has random weights, which are good to measure and useless to deploy.
        normalize_inside: Whether the file takes pixels between 0 and 255 and normalizes them itself.
        softmax_inside: Whether the file returns probabilities instead of logits.
    """

    subnet: str | Mapping[str, Any]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    labels: tuple[str, ...] | None = None
    levels: tuple[int, ...] | None = None
    checked_on: str = "noise"
    random_weights: bool = False
    normalize_inside: bool = False
    softmax_inside: bool = False


def manifest_path(artifact: Path) -> Path:
    """Return the path of the manifest of `artifact`: `<name>.manifest.json` beside it.

    If that manifest describes another file that still exists, the path is `<name>.<suffix>.manifest.json`.

    Raises:
        InputError: A file of the first name is there, and is no manifest.
    """
    own = artifact.with_name(artifact.name + _SUFFIX)
    shared = artifact.with_suffix(_SUFFIX)
    return own if own.exists() or _describes_another(shared, artifact) else shared


def format_manifest(
    artifact: Path,
    content: Path,
    *,
    format_name: str,
    description: Description,
    written: Mapping[str, Any],
    tools: Mapping[str, str],
    parity: Parity,
    latency: Mapping[str, Any] | None,
    accuracy: Accuracy | None = None,
) -> str:
    """Return the manifest of a file, as JSON.

    Args:
        artifact: Final name of the file.
        content: File that holds its content now.
        format_name: Name of its format.
        description: What the caller knows about the network.
        written: What the exporter returned for the file.
        tools: Versions of the runtimes that opened the file.
        parity: Comparison with the network.
        latency: Measured latency with the fingerprint of the machine; None if not measured.
        accuracy: Top-1 of the network and of the file; None if not measured.
    """
    data = content.read_bytes()
    subnet = description.subnet
    manifest = {
        "format": FORMAT,
        "artifact": artifact.name,
        "artifact_format": format_name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "subnet": subnet if isinstance(subnet, str) else dict(subnet),
        "mean": description.mean,
        "std": description.std,
        "labels": description.labels,
        "levels": description.levels,
        "normalize_inside": description.normalize_inside,
        "softmax_inside": description.softmax_inside,
        "input": {**written["input"], "range": PIXEL_RANGE if description.normalize_inside else None},
        "output": written["output"],
        "precision": written.get("precision", "fp32"),
        "calibration": written.get("calibration"),
        "opset": written.get("opset"),
        "tools": {"natdeploy": __version__, **written["versions"], **tools},
        "weights": "random" if description.random_weights else "trained",
        "parity": {"checked_on": description.checked_on, **parity.to_json()},
        "accuracy": None if accuracy is None else dataclasses.asdict(accuracy),
        "delegation": written.get("delegation"),
        "target": written.get("target"),
        "latency": latency,
    }
    return json.dumps(manifest, indent=2, allow_nan=False) + "\n"


def tool_version(artifact: Path, tool: str) -> str | None:
    """Return the version of a tool from the manifest of a file; None if no manifest describes this very content.

    Raises:
        InputError: The manifest is damaged.
    """
    content = _read(manifest_path(artifact))
    if content.get("sha256") != hashlib.sha256(read_bytes(artifact, MODEL_BYTES)).hexdigest():
        return None
    tools = content.get("tools")
    version = tools.get(tool) if isinstance(tools, dict) else None
    return version if isinstance(version, str) else None


def _describes_another(manifest: Path, artifact: Path) -> bool:
    other = _read(manifest).get("artifact", artifact.name)
    return other != artifact.name and os.path.exists(artifact.with_name(other))  # noqa: PTH110 (any length of string)


def _read(manifest: Path) -> dict[str, Any]:
    """Return the content of a manifest; empty if there is no such file."""
    if not os.path.lexists(manifest):
        return {}
    text = read_text(manifest)
    try:
        content = parse_json(text)
    except ValueError as error:
        raise _refuse(manifest, f"not valid JSON: {error}") from error
    artifact = content.get("artifact") if isinstance(content, dict) else None
    if not isinstance(artifact, str) or "\0" in artifact or artifact in {"", ".."} or Path(artifact).name != artifact:
        raise _refuse(manifest, f"its artifact is {str(artifact)[:60]!r}, not the name of a file beside it")
    return dict(content)


def _refuse(manifest: Path, reason: str) -> InputError:
    return InputError(
        f"{manifest}: not the manifest of an exported file: {reason}", hint="move it away, or choose another --output"
    )
