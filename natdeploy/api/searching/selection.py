"""From an archive to its front, and to the architecture for a latency limit, measured where a device can be reached."""

from __future__ import annotations

import dataclasses
import functools
import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.api.context import Context
from natdeploy.api.latency.levels import PATIENCE_S, time_networks
from natdeploy.api.searching.results import DeviceLatency, MeasuredLatency
from natdeploy.core.architecture import Architecture
from natdeploy.core.genotype import Population, decode, decode_all
from natdeploy.core.layers import walk
from natdeploy.errors import TargetUnreachableError
from natdeploy.io.devices import find_device
from natdeploy.io.encodings import to_encoding
from natdeploy.io.runs import RunFolder
from natdeploy.search.objectives import TOP1, TRADE_OFF, read_preference
from natdeploy.search.problem import SearchProblem
from natdeploy.search.ranking import Candidates, achievement_scalarization, find_front, rank_feasible, trade_offs

Values = NDArray[np.float64]
# Networks that are measured for one latency limit, at most.
_MEASURED = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """Architectures with their accuracy.

    Args:
        genotypes: `n x L` genotypes.
        top1: Their `n` accuracies; the means where there are several tasks.
        top1_by_task: Their `n` accuracies by task, where there are several.
    """

    genotypes: Population
    top1: Values
    top1_by_task: Mapping[str, Values] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.genotypes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selector:
    """Selects architectures from an archive.

    Args:
        problem: Space, objectives, limits and latency tables.
        archive: The architectures to select from.
        run: Run folder; its journal keeps what is measured.
        seed: Seed of the weights of measured networks.
        context: Reporter and clock.
    """

    problem: SearchProblem
    archive: Archive
    run: RunFolder
    seed: int
    context: Context

    @functools.cached_property
    def front(self) -> NDArray[np.intp]:
        """The places in the archive that no other dominates in top-1 and every objective, the quickest first."""
        by_task = self.archive.top1_by_task
        top1 = np.column_stack(list(by_task.values())) if by_task else self.archive.top1
        return find_front(top1, list(self.problem.cost_values(self.archive.genotypes).T))

    def rows(self, places: Iterable[int]) -> list[dict[str, Any]]:
        """Return some places of the archive as files show them, one mapping an architecture."""
        values = {name: cost(self.archive.genotypes) for name, cost in self.problem.costs.items()}
        listed = list(places)
        architectures = decode_all(self.problem.space, self.archive.genotypes[listed])
        return [self._row(int(place), own, values) for place, own in zip(listed, architectures, strict=True)]

    def candidates(self, places: NDArray[np.intp]) -> Candidates:
        """Return some places of the archive as candidates of a selection."""
        costs, part = self.problem.costs, self.archive.genotypes[places]
        latency = {device: costs[f"latency:{device}"](part) for device in self.problem.tables}
        upper = {device: values * self.problem.tables[device].upper_ratio for device, values in latency.items()}
        sizes = {name: costs[name](part) for name in self.problem.goal.limits}
        return Candidates(top1=self.archive.top1[places], latency_ms=latency, upper_ms=upper, sizes=sizes)

    def select(self, limits_ms: Mapping[str, float]) -> tuple[int, dict[str, MeasuredLatency]]:
        """Return the place in the archive that is selected for latency limits, and its measured latency by device.

        Where the devices can be reached, the best candidate is measured as a whole network. The latencies of all
        candidates are then corrected by the measurements. This goes on until the best candidate is one that has been
        measured.

        Raises:
            TargetUnreachableError: No architecture keeps the limits.
        """
        candidates, finalists, missed = self.candidates(self.front), dict[int, dict[str, MeasuredLatency]](), ""
        while len(finalists) < _MEASURED:
            try:
                order = rank_feasible(self._correct(candidates, finalists), limits_ms, self.problem.goal.limits)
            except TargetUnreachableError:
                if not missed:
                    raise
                break
            best = self._prefer(order)
            if best in finalists:
                return int(self.front[best]), finalists[best]
            finalists[best] = measured = self.measure(self.archive.genotypes[self.front[best]])
            late = _late_devices(measured, limits_ms)
            if late:
                missed = "; ".join(f"{measured[d]} on {d} (target {limits_ms[d]:g} ms)" for d in late)
                self.context.reporter.info(f"not selected: {missed}; the latencies of all others are corrected by it")
        met = [place for place, measured in finalists.items() if not _late_devices(measured, limits_ms)]
        if met:
            best = self._prefer(np.array(met))
            return int(self.front[best]), finalists[best]
        msg = f"no architecture meets the target when it is measured; the last one that was measured takes {missed}"
        # Only a search with training leaves a run that can be selected from again.
        hint = (
            f"the run is kept: natdeploy extract {shlex.quote(str(self.run.path))} --target-latency TARGET"
            if "search" in self.run.config
            else "search again with a larger --target-latency"
        )
        raise TargetUnreachableError(msg, hint=hint)

    def _correct(self, candidates: Candidates, finalists: Mapping[int, Mapping[str, MeasuredLatency]]) -> Candidates:
        """Return the candidates with the latencies of each device corrected by the finalists measured on it."""
        blocks = np.count_nonzero(self.archive.genotypes[self.front][:, 2:], axis=1).tolist()
        for device in self.problem.tables:
            known = {place: own[device].comparable_ms for place, own in finalists.items() if device in own}
            if known:
                candidates = candidates.correct_latency(device, blocks, known)
        return candidates

    def _prefer(self, places: NDArray[np.intp]) -> int:
        """Return the place of the front that is preferred among `places`; of equal ones the first."""
        return int(places[np.argmin(self.regret[places])])

    @functools.cached_property
    def regret(self) -> Values:
        """How little each place of the front is preferred; of equal ones the most accurate is selected."""
        objectives = self.problem.objectives
        preference = read_preference(self.problem.goal.prefer, objectives)
        costs = self.problem.cost_values(self.archive.genotypes[self.front])
        values = np.column_stack([-self.archive.top1[self.front], costs])
        if isinstance(preference, str):
            return -trade_offs(values) if preference == TRADE_OFF else np.zeros(len(values))
        return achievement_scalarization(values, np.array([preference.get(name, 0.0) for name in (TOP1, *objectives)]))

    def measure(self, genotype: Population) -> dict[str, MeasuredLatency]:
        """Return the measured latency of a whole network, by device that is this machine."""
        known = {
            event["device"]: MeasuredLatency(median_ms=event["median_ms"], level=event.get("level"))
            for event in self.run.events("measured")
            if event["genotype"] == genotype.tolist()
        }
        for device, table in self.problem.tables.items():
            if device in known or find_device(device).transport != "local":
                continue
            layers = walk(self.problem.space, decode(self.problem.space, genotype), self.problem.classes)
            timed = time_networks(
                table.deployment, [layers], seed=self.seed, context=self.context, patience_s=PATIENCE_S
            )
            known[device] = MeasuredLatency(median_ms=timed.stats[0].median_ms, level=timed.level.value)
            self.run.record(
                "measured", {"device": device, "genotype": genotype.tolist(), **dataclasses.asdict(known[device])}
            )
            timed.tell(f"measured on {device}", self.context.reporter)
        return known

    def latencies(self, place: int, measured: Mapping[str, MeasuredLatency]) -> dict[str, DeviceLatency]:
        """Return the predicted and measured latency of a place in the archive, by device."""
        own = self.candidates(np.array([place]))
        return {
            device: DeviceLatency(
                predicted=float(own.latency_ms[device][0]),
                upper=float(own.upper_ms[device][0]) if table.latency_correction else None,
                measured=measured[device].comparable_ms if device in measured else None,
                raw=measured[device].median_ms if device in measured else None,
                level=measured[device].level if device in measured else None,
                provenance=table.provenance,
                runtime=table.deployment.runtime,
            )
            for device, table in self.problem.tables.items()
        }

    def compared_with(self, limits_ms: Mapping[str, float]) -> dict[str, str]:
        """Return what is compared with a latency limit: `upper bound` or `prediction`, by device."""
        tables = self.problem.tables
        return {device: "upper bound" if tables[device].latency_correction else "prediction" for device in limits_ms}

    def cost(self, name: str, place: int) -> float:
        """Return a cost of a place in the archive."""
        return float(self.problem.costs[name](self.archive.genotypes[[place]])[0])

    def _row(self, place: int, architecture: Architecture, values: Mapping[str, Values]) -> dict[str, Any]:
        row: dict[str, Any] = {
            "row": place,
            "genotype": " ".join(str(gene) for gene in self.archive.genotypes[place]),
            "encoding": to_encoding(architecture),
            "resolution": architecture.resolution,
            "width": architecture.width,
            "depths": " ".join(map(str, architecture.depths)),
            "top1": float(self.archive.top1[place]),
            **{f"top1:{task}": float(top1[place]) for task, top1 in self.archive.top1_by_task.items()},
            "madds": int(values["madds"][place]),
            "params": int(values["params"][place]),
        }
        if row["encoding"] is None:
            row["architecture"] = json.dumps(architecture.to_json())
        if "peak-memory" in values:
            row["peak_memory_bytes"] = int(values["peak-memory"][place])
        for device in self.problem.tables:
            row[f"latency_ms:{device}"] = float(values[f"latency:{device}"][place])
        return row


def _late_devices(measured: Mapping[str, MeasuredLatency], limits_ms: Mapping[str, float]) -> list[str]:
    return [device for device, ms in limits_ms.items() if device in measured and measured[device].comparable_ms > ms]
