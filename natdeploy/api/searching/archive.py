"""The archive of a search with training: read from its run, and its architectures as subnets with weights."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from natdeploy.api.context import Context
from natdeploy.api.searching.finish import Top1
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.recorded_events import check_journal, list_last_evaluations
from natdeploy.api.searching.selection import Archive, Selector
from natdeploy.api.training.guessing import warn_of_guessing
from natdeploy.api.training.progress import StepProgress
from natdeploy.core.genotype import decode
from natdeploy.errors import InputError
from natdeploy.io.run_images import load_run_task
from natdeploy.io.runs import RunFolder, require_checkpoint
from natdeploy.io.spaces import find_space
from natdeploy.io.subnet_weights import write_network
from natdeploy.io.subnets import Subnet
from natdeploy.supernet.evaluation import BATCH, SubnetEvaluator
from natdeploy.supernet.network import Network
from natdeploy.version import __version__


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedSubnets:
    """Architectures of an archive with the weights of the supernet; implements `SubnetWriter`.

    Args:
        selector: Selects from the archive.
        evaluator: Takes subnets out of the supernet.
    """

    selector: Selector
    evaluator: SubnetEvaluator

    def top1(self, place: int) -> Top1:
        """Return the accuracy on test images, which are read once for each architecture."""
        validation, run = float(self.selector.archive.top1[place]), self.selector.run
        genotype = self.selector.archive.genotypes[place].tolist()
        for event in run.events("tested"):
            if event["genotype"] == genotype:
                return Top1(value=float(event["top1"]), source="test", validation=validation)
        value = self._test_top1(self._network(place))
        run.record("tested", {"genotype": genotype, "top1": value})
        warn_of_guessing(value, self.evaluator.task, self.evaluator.task.test, self.selector.context.reporter)
        return Top1(value=value, source="test", validation=validation)

    def write(self, place: int, path: Path, metrics: Mapping[str, Any]) -> Subnet:
        """Write a place in the archive as the subnet file `path`, with its weights beside it."""
        space, selector = self.selector.problem.space, self.selector
        subnet = Subnet(
            space=find_space(space.source),
            architecture=decode(space, selector.archive.genotypes[place]),
            classes=selector.problem.classes,
            task=self.evaluator.task.describe(),
            metrics=metrics,
            provenance={"run": selector.run.path.name, "seed": selector.seed, "natdeploy": __version__},
        )
        return write_network(self._network(place), subnet, path)

    def _test_top1(self, network: Network) -> float:
        batches = math.ceil(len(self.evaluator.task.test) / BATCH)
        progress = StepProgress(self.selector.context, "test", batches, BATCH)
        value = self.evaluator.test_top1(network, on_batch=progress.step)
        progress.end(f"top-1 {value:.3f}")
        return value

    def _network(self, place: int) -> Network:
        genotype = self.selector.archive.genotypes[place]
        return self.evaluator.extract(decode(self.selector.problem.space, genotype))


def read_archive(run: RunFolder, plan: SearchPlan) -> Archive:
    """Read the archive of a finished run from its journal, and check that `archive.csv` says the same.

    Raises:
        InputError: The run is not finished, its journal is damaged, or its archive contradicts it.
    """
    check_journal(run, plan)
    source, recorded = run.path / "archive.csv", list_last_evaluations(run, plan)
    known = {tuple(genotype): top1 for genotype, top1 in recorded}
    kept = []
    for number, row in enumerate(run.read_csv("archive")):
        line = f"{source}, line {number + 2}"
        try:
            place, genotype, top1 = int(row["row"]), tuple(map(int, row["genotype"].split())), float(row["top1"])
        except (KeyError, ValueError, AttributeError) as error:
            msg = f"{line}: not an architecture of an archive: {error}"
            raise InputError(msg) from error
        if place != number:
            _refuse(line, f"is row {place}, but row {number} comes here", run)
        if genotype not in known:
            _refuse(line, "its architecture is not in the last round of the journal", run)
        if top1 != float(f"{known[genotype]:.6g}"):
            _refuse(line, f"top-1 is {top1:g} here, but {known[genotype]:.6g} in the journal", run)
        kept.append(genotype)
    limit = plan.preset.search.archive
    # Only the first round can have more than the archive keeps; which of them, the journal does not say.
    cut = 0 < limit < len(known)
    if not kept or len(set(kept)) != (limit if cut else len(known)) or not (cut or kept == list(known)):
        _refuse(str(source), "its rows are not those of the journal", run)
    return Archive(genotypes=np.array(kept, dtype=np.int64), top1=np.array([known[genotype] for genotype in kept]))


def _refuse(place: str, reason: str, run: RunFolder) -> NoReturn:
    hint = f"write the archive again from the journal with: natdeploy report {shlex.quote(str(run.path))}"
    msg = f"{place}: {reason}"
    raise InputError(msg, hint=hint)


def load_evaluator(run: RunFolder, plan: SearchPlan, context: Context) -> SubnetEvaluator:
    """Return the evaluator of a run's supernet, trained as far as its checkpoint.

    Raises:
        InputError: There is no checkpoint, it is damaged, or images have changed since the run began.
    """
    from natdeploy.api.searching.trainer import build_supernet

    require_checkpoint(run)
    task = load_run_task(run, plan.data, plan.resolutions[-1], context.reporter, plan.normalization)
    evaluator, _ = build_supernet(plan, run, task)
    return evaluator
