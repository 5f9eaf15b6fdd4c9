"""From an archive to its front, and to the choice for a target, measured where the device can be reached."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.api.context import Context
from natdeploy.api.latency.timers import make_host_meter
from natdeploy.api.results import jsonable
from natdeploy.api.searching.results import Choice, DeviceLatency
from natdeploy.core.cost import CostArray
from natdeploy.core.genotype import Population, decode, to_encoding
from natdeploy.core.latency import LatencyTable
from natdeploy.core.layers import walk
from natdeploy.core.space import SearchSpace
from natdeploy.errors import TargetUnreachableError
from natdeploy.io.devices import find_device
from natdeploy.io.runs import RunFolder
from natdeploy.search.decision import Candidates, front, rank, shortfalls, trade_offs
from natdeploy.search.objectives import ACCURACY, TOP1, TRADE_OFF, read_preference

Values = NDArray[np.float64]
# Networks that are measured for a target, at most.
_TRIED = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chooser:
    """Chooses from an archive.

    Args:
        run: Run folder.
        space: Search space.
        classes: Outputs of the classifier.
        seed: Seed of weights that are measured.
        tables: Latency tables, by device.
        costs: Costs, by name.
        objectives: Names of the costs that the front is made of, beside top-1.
        prefer: What is chosen of what meets a target, as `read_preference` takes it.
        limits: Largest value of a cost, by its name, that every choice must keep.
        archive: `n x L` genotypes.
        top1: Their `n` accuracies; the means where there are several tasks.
        tasks: Their `n` accuracies by task, where there are several.
        context: Reporter and clock.
    """

    run: RunFolder
    space: SearchSpace
    classes: int
    seed: int
    tables: Mapping[str, LatencyTable]
    costs: Mapping[str, CostArray]
    objectives: Sequence[str]
    limits: Mapping[str, float]
    archive: Population
    top1: Values
    context: Context
    tasks: Mapping[str, Values] = dataclasses.field(default_factory=dict)
    prefer: str = ACCURACY

    @functools.cached_property
    def front(self) -> NDArray[np.intp]:
        """The places in the archive that no other dominates in top-1 and every objective, the quickest first."""
        top1 = np.column_stack(list(self.tasks.values())) if self.tasks else self.top1
        return front(top1, [self.costs[name](self.archive) for name in self.objectives])

    def rows(self, places: Iterable[int]) -> list[dict[str, Any]]:
        """Return some places of the archive as files show them, one mapping an architecture."""
        values = {name: cost(self.archive) for name, cost in self.costs.items()}
        return [self._row(int(place), values) for place in places]

    def candidates(self, places: NDArray[np.intp]) -> Candidates:
        """Return some places of the archive as what a choice is made of."""
        part = self.archive[places]
        latency = {device: self.costs[f"latency:{device}"](part) for device in self.tables}
        upper = {device: values * self.tables[device].upper_ratio for device, values in latency.items()}
        sizes = {name: self.costs[name](part) for name in self.limits}
        return Candidates(top1=self.top1[places], latency_ms=latency, upper_ms=upper, sizes=sizes)

    def choose_place(self, target: Mapping[str, float]) -> tuple[int, dict[str, float]]:
        """Return the place in the archive that is chosen for a target, and its measured latency by device.

        Where the devices can be reached, the best one is measured as a whole network, the latencies of all are
        corrected by what was measured, and the choice is made again until it falls on one that was measured before.

        Raises:
            TargetUnreachableError: None meets the target.
        """
        candidates, finalists, missed = self.candidates(self.front), dict[int, dict[str, float]](), ""
        while len(finalists) < _TRIED:
            try:
                order = rank(self._corrected(candidates, finalists), target, self.limits)
            except TargetUnreachableError:
                if not missed:
                    raise
                break
            best = self._preferred(order)
            if best in finalists:
                return int(self.front[best]), finalists[best]
            finalists[best] = measured = self.measured(self.archive[self.front[best]])
            late = _late(measured, target)
            if late:
                missed = "; ".join(f"{measured[d]:.3g} ms measured on {d} (target {target[d]:g} ms)" for d in late)
                self.context.reporter.info(f"not taken: {missed}; latencies are corrected by that")
        met = [place for place, measured in finalists.items() if not _late(measured, target)]
        if met:
            best = self._preferred(np.array(met))
            return int(self.front[best]), finalists[best]
        msg = f"no architecture meets the target when it is measured; the last one tried takes {missed}"
        hint = f"the run is kept: natdeploy extract {self.run.path} --target-latency TARGET"
        if "training_free" in self.run.settings:
            hint = "search again with a larger --target-latency"
        raise TargetUnreachableError(msg, hint=hint)

    def _corrected(self, candidates: Candidates, finalists: Mapping[int, Mapping[str, float]]) -> Candidates:
        """Return the candidates with the latencies of each device corrected by the finalists measured on it."""
        blocks = np.count_nonzero(self.archive[self.front][:, 2:], axis=1).tolist()
        for device in self.tables:
            known = {place: measured[device] for place, measured in finalists.items() if device in measured}
            if known:
                candidates = candidates.corrected(device, blocks, known)
        return candidates

    def _preferred(self, places: NDArray[np.intp]) -> int:
        """Return the place that is preferred of some places of the front; of equal ones the first."""
        return int(places[np.argmin(self._regret[places])])

    @functools.cached_property
    def _regret(self) -> Values:
        """How little each place of the front is preferred; of equal ones the most accurate is taken."""
        preference = read_preference(self.prefer, self.objectives)
        costs = [self.costs[name](self.archive[self.front]) for name in self.objectives]
        values = np.column_stack([-self.top1[self.front], *costs])
        if isinstance(preference, str):
            return -trade_offs(values) if preference == TRADE_OFF else np.zeros(len(values))
        return shortfalls(values, np.array([preference.get(name, 0.0) for name in (TOP1, *self.objectives)]))

    def measured(self, genotype: Population) -> dict[str, float]:
        """Return the median latency in milliseconds of the network really run, by device that can be reached."""
        known = {
            event["device"]: event["median_ms"]
            for event in self.run.recorded("measured")
            if event["genotype"] == genotype.tolist()
        }
        for device, table in self.tables.items():
            if device in known or find_device(device).transport != "local":
                continue
            layers = walk(self.space, decode(self.space, genotype), self.classes)
            meter = make_host_meter(table.deployment, seed=self.seed, clock=self.context.clock)
            known[device] = meter.measure([layers])[0].median_ms
            event = {"device": device, "genotype": genotype.tolist(), "median_ms": known[device]}
            self.run.record("measured", event)
        return known

    def latencies(self, place: int, measured: Mapping[str, float]) -> dict[str, DeviceLatency]:
        """Return what is known of the latency of a place in the archive, by device."""
        own = self.candidates(np.array([place]))
        return {
            device: DeviceLatency(
                predicted=float(own.latency_ms[device][0]),
                upper=float(own.upper_ms[device][0]) if table.latency_correction else None,
                measured=measured.get(device),
                provenance=table.provenance,
            )
            for device, table in self.tables.items()
        }

    def compared_with(self, target: Mapping[str, float]) -> dict[str, str]:
        """Return what is compared with a target: `upper bound` or `prediction`, by device."""
        return {device: "upper bound" if self.tables[device].latency_correction else "prediction" for device in target}

    def cost(self, name: str, place: int) -> float:
        """Return a cost of a place in the archive."""
        return float(self.costs[name](self.archive[[place]])[0])

    def _row(self, place: int, values: Mapping[str, Values]) -> dict[str, Any]:
        architecture = decode(self.space, self.archive[place])
        row: dict[str, Any] = {
            "row": place,
            "genotype": " ".join(str(gene) for gene in self.archive[place]),
            "encoding": to_encoding(architecture),
            "resolution": architecture.resolution,
            "width": architecture.width,
            "depths": " ".join(map(str, architecture.depths)),
            "top1": float(self.top1[place]),
            **{f"top1:{task}": float(known[place]) for task, known in self.tasks.items()},
            "madds": int(values["madds"][place]),
            "params": int(values["params"][place]),
        }
        if row["encoding"] is None:
            row["architecture"] = json.dumps(architecture.to_json())
        if "peak-memory" in values:
            row["peak_memory_bytes"] = int(values["peak-memory"][place])
        for device in self.tables:
            row[f"latency_ms:{device}"] = float(values[f"latency:{device}"][place])
        return row


def _late(measured: Mapping[str, float], target: Mapping[str, float]) -> list[str]:
    return [device for device, ms in target.items() if measured.get(device, 0.0) > ms]


def choice_names(count: int) -> list[str]:
    """Return the names of the subnet files of `count` choices."""
    return ["subnet"] + [f"subnet-{number}" for number in range(2, count + 1)]


def metrics_of(choice: Choice) -> dict[str, Any]:
    """Return what the subnet file of a choice says of it."""
    kept = ("top1", "top1_source", "validation_top1", "madds", "params", "latency_ms")
    told = {key: value for key, value in jsonable(choice).items() if key in kept}
    return {**told, "top1_by_task": dict(choice.top1_by_task)} if choice.top1_by_task else told
