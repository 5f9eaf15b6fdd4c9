"""After the search: archive and front as files, and the choice for each target, measured where that can be done."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.api.context import Context
from natdeploy.api.latency import host_meter
from natdeploy.api.results import Choice, DeviceLatency, jsonable
from natdeploy.api.settings import SearchPlan
from natdeploy.core.architecture import Architecture
from natdeploy.core.cost import CostArray
from natdeploy.core.genotype import Population, decode, to_encoding
from natdeploy.core.latency import LatencyTable
from natdeploy.core.layers import walk
from natdeploy.core.space import SearchSpace, find_space
from natdeploy.errors import InputError, TargetUnreachableError
from natdeploy.io.datasets import load_task
from natdeploy.io.devices import find_device
from natdeploy.io.runs import RunFolder, require_checkpoint
from natdeploy.io.subnets import Subnet, write_subnet
from natdeploy.search.decision import Candidates, front, rank
from natdeploy.supernet.checkpoints import write_state
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.network import Network
from natdeploy.version import __version__

Values = NDArray[np.float64]
_TRIED = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decider:
    """Turns the archive of a run into its front and its choices.

    Args:
        run: Run folder.
        plan: Plan of the run.
        tables: Latency tables, by device.
        costs: Costs, by name.
        archive: `n x L` genotypes.
        top1: Their `n` validation accuracies.
        evaluator: Gives subnets with their weights.
        context: Reporter and clock.
    """

    run: RunFolder
    plan: SearchPlan
    tables: Mapping[str, LatencyTable]
    costs: Mapping[str, CostArray]
    archive: Population
    top1: Values
    evaluator: SubnetEvaluator
    context: Context

    def write_archive(self) -> list[dict[str, Any]]:
        """Write `archive.csv` and `front.csv`; return the archive's rows, those with `front` true first."""
        values = {name: cost(self.archive) for name, cost in self.costs.items()}
        on_front = self.front()
        rows = [self._row(place, values) for place in range(len(self.archive))]
        self.run.write_csv("archive", rows)
        self.run.write_csv("front", [rows[place] for place in on_front])
        order = [*on_front.tolist(), *(place for place in range(len(rows)) if place not in set(on_front.tolist()))]
        return [{**rows[place], "front": place in set(on_front.tolist())} for place in order]

    def choices(self, alias: Path | None) -> tuple[Choice, ...]:
        """Choose for each target of the plan, or once without one, and write the subnets.

        Args:
            alias: A further file to write the first choice to.

        Raises:
            TargetUnreachableError: No architecture of the archive meets a target.
        """
        targets = self.plan.targets or ({},)
        names = ["subnet"] + [f"subnet-{number}" for number in range(2, len(targets) + 1)]
        made = [self._choose(target, name) for target, name in zip(targets, names, strict=True)]
        if alias is not None:
            write_subnet(alias, made[0][1])
        return tuple(choice for choice, _ in made)

    def front(self) -> NDArray[np.intp]:
        """Return the places in the archive that no other dominates in top-1 and every cost, the quickest first."""
        return front(self.top1, [cost(self.archive) for cost in self.costs.values()])

    def candidates(self, places: NDArray[np.intp]) -> Candidates:
        """Return some places of the archive as what a choice is made of."""
        part = self.archive[places]
        latency = {device: self.costs[f"latency:{device}"](part) for device in self.plan.devices}
        upper = {device: values * self.tables[device].upper_ratio for device, values in latency.items()}
        return Candidates(top1=self.top1[places], latency_ms=latency, upper_ms=upper)

    def choose_place(self, target: Mapping[str, float]) -> tuple[int, dict[str, float]]:
        """Return the place in the archive that is chosen for a target, and its measured latency by device.

        Where the devices can be reached, the most accurate ones are measured one after the other as whole networks,
        until one meets the target; of the first few that do not, none is taken.

        Raises:
            TargetUnreachableError: None meets the target.
        """
        places = self.front()
        candidates = self.candidates(places)
        order = rank(candidates, target)
        nearest = ""
        for place in places[_tried(order, candidates)].tolist():
            measured = self.measured(self.archive[place])
            missed = {device: ms for device, ms in target.items() if measured.get(device, 0.0) > ms}
            if not missed:
                return place, measured
            device, target_ms = next(iter(missed.items()))
            nearest = f"{measured[device]:.3g} ms measured on {device} (target {target_ms:g} ms)"
            self.context.reporter.info(f"not taken: {nearest}")
        msg = f"no architecture meets the target when it is measured; the last one tried takes {nearest}"
        hint = f"the run is kept: natdeploy extract {self.run.path} --target-latency TARGET"
        raise TargetUnreachableError(msg, hint=hint)

    def measured(self, genotype: Population) -> dict[str, float]:
        """Return the median latency in milliseconds of the network really run, by device that can be reached."""
        known = {
            event["device"]: event["median_ms"]
            for event in self.run.recorded("measured")
            if event["genotype"] == genotype.tolist()
        }
        for device in self.plan.devices:
            if device in known or find_device(device).transport != "local":
                continue
            layers = walk(self.plan.space, decode(self.plan.space, genotype), self._classes)
            meter = host_meter(self.tables[device].target, seed=self.plan.seed, clock=self.context.clock)
            known[device] = meter.measure([layers])[0].median_ms
            event = {"device": device, "genotype": genotype.tolist(), "median_ms": known[device]}
            self.run.record("measured", event)
        return known

    def write(self, place: int, target: Path, metrics: Mapping[str, Any]) -> Subnet:
        """Write an architecture of the archive as the subnet file `target`, with its weights beside it."""
        architecture = decode(self.plan.space, self.archive[place])
        return write_network(
            self.evaluator.subnet(architecture),
            space=find_space(self.plan.supernet),
            architecture=architecture,
            task=self.evaluator.task.description(),
            metrics=metrics,
            target=target,
            provenance={"run": self.run.path.name, "seed": self.plan.seed, "natdeploy": __version__},
        )

    @property
    def _classes(self) -> int:
        return len(self.evaluator.task.classes)

    def _choose(self, target: Mapping[str, float], name: str) -> tuple[Choice, Subnet]:
        place, measured = self.choose_place(target)
        own = self.candidates(np.array([place]))
        latencies = {
            device: DeviceLatency(
                predicted=float(own.latency_ms[device][0]),
                upper=float(own.upper_ms[device][0]) if self.tables[device].calibration else None,
                measured=measured.get(device),
                provenance=self.tables[device].provenance,
            )
            for device in self.plan.devices
        }
        choice = Choice(
            target_ms=dict(target),
            top1=self._test_top1(place),
            top1_source="test",
            validation_top1=float(self.top1[place]),
            madds=int(self.costs["madds"](self.archive[[place]])[0]),
            params=int(self.costs["params"](self.archive[[place]])[0]),
            latency_ms=latencies,
            compared_with={
                device: "upper bound" if self.tables[device].calibration else "prediction" for device in target
            },
            subnet=self.run.path / f"{name}.json",
            genotype=tuple(self.archive[place].tolist()),
        )
        kept = ("top1", "top1_source", "validation_top1", "madds", "params", "latency_ms")
        metrics = {key: value for key, value in jsonable(choice).items() if key in kept}
        subnet = self.write(place, self.run.path / f"{name}.json", metrics)
        return choice, subnet

    def _test_top1(self, place: int) -> float:
        genotype = self.archive[place].tolist()
        for event in self.run.recorded("tested"):
            if event["genotype"] == genotype:
                return float(event["top1"])
        value = self.evaluator.test_top1(self.evaluator.subnet(decode(self.plan.space, self.archive[place])))
        self.run.record("tested", {"genotype": genotype, "top1": value})
        return value

    def _row(self, place: int, values: Mapping[str, Values]) -> dict[str, Any]:
        architecture = decode(self.plan.space, self.archive[place])
        row: dict[str, Any] = {
            "row": place,
            "genotype": " ".join(str(gene) for gene in self.archive[place]),
            "encoding": to_encoding(architecture),
            "resolution": architecture.resolution,
            "width": architecture.width,
            "depths": " ".join(map(str, architecture.depths)),
            "top1": float(self.top1[place]),
            "madds": int(values["madds"][place]),
            "params": int(values["params"][place]),
        }
        for device in self.plan.devices:
            row[f"latency_ms:{device}"] = float(values[f"latency:{device}"][place])
        return row


def _tried(order: NDArray[np.intp], candidates: Candidates) -> list[int]:
    """Return the candidates to measure: the first ones of `order`, and after them the quickest of it."""
    latency = sum(candidates.latency_ms.values(), np.zeros(len(candidates.top1)))
    quickest = order[np.argmin(latency[order])]
    return list(dict.fromkeys([*order[:_TRIED].tolist(), int(quickest)]))


def decider_of_run(run: RunFolder, plan: SearchPlan, tables: Mapping[str, LatencyTable], context: Context) -> Decider:
    """Return the decider of a finished run, with its supernet as far trained as the checkpoint says.

    Raises:
        InputError: The run is not finished.
    """
    from natdeploy.api.loop import build_supernet, cost_arrays

    rows = run.read_csv("archive")
    try:
        rows = sorted(rows, key=lambda row: int(row["row"]))
        archive = np.array([[int(gene) for gene in row["genotype"].split()] for row in rows], dtype=np.int64)
        top1 = np.array([float(row["top1"]) for row in rows])
    except (KeyError, ValueError, AttributeError) as error:
        msg = f"{run.path / 'archive.csv'}: not an archive: {error}"
        raise InputError(msg) from error
    if not rows or not np.isfinite(top1).all() or archive.shape[1:] != (plan.space.genotype_length,):
        msg = f"{run.path / 'archive.csv'}: not an archive of {plan.space.name}"
        raise InputError(msg)
    require_checkpoint(run)
    task = load_task(plan.data, plan.resolutions[-1], reporter=context.reporter)
    evaluator, _ = build_supernet(plan, run, task)
    return Decider(
        run=run,
        plan=plan,
        tables=tables,
        costs=cost_arrays(plan, tables, len(evaluator.task.classes)),
        archive=archive,
        top1=top1,
        evaluator=evaluator,
        context=context,
    )


def write_network(
    network: Network,
    *,
    space: SearchSpace,
    architecture: Architecture,
    task: Mapping[str, Any] | None,
    metrics: Mapping[str, Any],
    target: Path,
    provenance: Mapping[str, Any],
) -> Subnet:
    """Write a network as the subnet file `target`, and its weights beside it."""
    weights = target.with_suffix(".safetensors")
    write_state(weights, network.state_dict())
    subnet = Subnet(
        space=space,
        architecture=architecture,
        classes=network.classes,
        weights=weights,
        task=task,
        metrics=metrics,
        provenance=provenance,
        source=str(target),
    )
    write_subnet(target, subnet)
    return subnet
