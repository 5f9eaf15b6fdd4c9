"""Every step on bundled data: profile this machine, search within a latency limit, export, check, measure."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.api.context import Context
from natdeploy.api.exporting.results import ExportResult
from natdeploy.api.exporting.run import export
from natdeploy.api.extraction import ExtractResult, extract_from_run
from natdeploy.api.latency.measure import measure
from natdeploy.api.latency.profile import profile
from natdeploy.api.latency.results import ProfileResult
from natdeploy.api.results import Result, jsonable
from natdeploy.api.searching.presets import find_preset
from natdeploy.api.searching.results import SearchResult
from natdeploy.api.searching.run import search
from natdeploy.core.checked import checked
from natdeploy.core.genotype import sample_initial
from natdeploy.core.ranges import Seed
from natdeploy.io.spaces import find_space
from natdeploy.search.problem import SearchGoal

_CLASSES = 10
_SUPERNET = "starter"
# Less training than in the preset: it takes a few minutes, and larger networks are still more accurate.
_EFFORT = {"warmup_epochs": 6, "adapt_epochs": 3, "initial": 20, "iterations": 1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoResult(Result):
    """Results of the demo.

    Args:
        profile: Latency table of this machine.
        search: The search within the latency limit.
        exports: The selected subnet as ONNX and TFLite.
        untargeted: The subnet that is selected from the same run without a limit.
        untargeted_ms: Its measured latency in milliseconds, levelled like that of the selected subnet.
    """

    profile: ProfileResult
    search: SearchResult
    exports: ExportResult
    untargeted: ExtractResult
    untargeted_ms: float

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        return {
            "ok": True,
            "profile": self.profile.to_json(),
            "search": self.search.to_json(),
            "exports": self.exports.to_json()["exports"],
            "untargeted": jsonable(self.untargeted),
            "untargeted_ms": self.untargeted_ms,
        }


@checked
def demo(output: Path, *, seed: Seed = 0, context: Context | None = None) -> DemoResult:
    """Run every step, and write all results into the folder `output`.

    The latency limit is the median predicted latency of the first archive, so that it excludes half of it.

    Raises:
        NatdeployError: Any step failed.
    """
    context = context or Context()
    profiled = profile("host", supernet=_SUPERNET, seed=seed, context=context)
    target_ms = median_latency_ms(profiled, seed)
    context.reporter.info(f"target: {target_ms:.4g} ms, the median predicted latency of the first archive")
    folder = output / f"run-{context.clock.now():%Y%m%dT%H%M%SZ}"
    goal = SearchGoal(latency_limits_ms=({"host": target_ms},))
    preset = find_preset("quick", _EFFORT)
    run = search(supernet=_SUPERNET, goal=goal, preset=preset, seed=seed, output=folder, context=context)
    exported = export(run.subnet, ("onnx", "tflite"), output=output, seed=seed, context=context)
    free = extract_from_run(run.run, output=output / "untargeted.json", context=context)
    free_ms = measure(free.subnet, seed=seed, context=context).comparable_ms
    return DemoResult(profile=profiled, search=run, exports=exported, untargeted=free, untargeted_ms=free_ms)


def median_latency_ms(profiled: ProfileResult, seed: int) -> float:
    """Return the median predicted latency, in milliseconds, of the first archive of a search with this seed."""
    space = find_space(_SUPERNET)
    archive = sample_initial(space, find_preset("quick", _EFFORT).search.initial, np.random.default_rng([seed, 0]))
    return float(np.median(profiled.content.compile(space, _CLASSES)(archive)))
