"""The commands that a report offers: to extract, export and measure any of its architectures.

The page fills in `{row}`, `{file}`, `{output}` and `{weights}`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from natdeploy.api.searching.report.summary import Summary
from natdeploy.api.searching.selection import Selector
from natdeploy.core.latency import LatencyTable

# Format of the exported file, by the runtime of a table; others run ONNX files.
_FORMATS = {"litert": "tflite", "tensorrt": "tensorrt"}


def command_templates(selector: Selector, summary: Summary) -> dict[str, Any]:
    """Return the commands of a run.

    `extract` writes the subnet of a row to `{output}`. It takes it from the run `{weights}`, in whose archive the rows
    have the numbers `rows`. Where the run has no weights, both are None, and `extract` takes the weights of a supernet
    for the architecture in `{file}`. Each of `files` takes a subnet. Choices have files in the folder `run`.
    """
    known = {
        "run": shlex.quote(str(selector.run.path)),
        "files": [command for kind in (_export, _measure) for command in kind(selector.problem.tables)],
    }
    if summary.weights is None:
        name = shlex.quote(selector.problem.space.source or selector.problem.space.name)
        extract = f"natdeploy extract {{file}} --supernet {name} --weights WEIGHTS --output {{output}}"
        return {**known, "extract": extract, "rows": None, "weights": None}
    extract = "natdeploy extract {weights} --row {row} --output {output}"
    weights = shlex.quote(str(summary.weights.run))
    return {**known, "extract": extract, "rows": list(summary.weights.rows), "weights": weights}


def _export(tables: Mapping[str, LatencyTable]) -> Iterator[dict[str, str]]:
    if not tables:
        yield {"purpose": "Export", "command": "natdeploy export {file}"}
    for device, table in tables.items():
        command = (
            f"natdeploy export {{file}} --format {_FORMATS.get(table.deployment.runtime, 'onnx')}{_device(device)}"
        )
        yield {"purpose": f"Export for {device}", "command": command}


def _measure(tables: Mapping[str, LatencyTable]) -> Iterator[dict[str, str]]:
    for device in tables:
        yield {"purpose": f"Measure on {device}", "command": f"natdeploy measure {{file}}{_device(device)}"}


def _device(device: str) -> str:
    return "" if device == "host" else f" --device {shlex.quote(device)}"
