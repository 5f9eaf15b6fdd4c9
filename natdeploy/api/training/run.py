"""Elastic training in a folder from which it can be resumed; used by `pretrain` and `adapt`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from natdeploy.api.context import Context, SilentReporter
from natdeploy.api.training.guessing import warn_of_guessing
from natdeploy.api.training.initial_weights import load_initial_weights, warn_of_changed_task
from natdeploy.api.training.original import Original
from natdeploy.api.training.plan import TrainingMode, TrainingPlan
from natdeploy.api.training.progress import read_seconds, train_epochs
from natdeploy.api.training.results import TrainingResult
from natdeploy.core.architecture import Architecture, largest, smallest
from natdeploy.core.genotype import decode, sample
from natdeploy.io.datasets import load_task
from natdeploy.io.image_records import write_image_records
from natdeploy.io.locks import hold_run
from natdeploy.io.run_config import move_data, parse_config
from natdeploy.io.run_images import find_recorded
from natdeploy.io.runs import RunFolder
from natdeploy.io.supernet_weights import TASK, TRAINING
from natdeploy.supernet.checkpoints import write_state
from natdeploy.supernet.data import Task, concatenate
from natdeploy.supernet.distillation import DistillationTrainer
from natdeploy.supernet.distributed import ProcessGroup
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.image_record import ImageRecord
from natdeploy.supernet.memory import translate_oom
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.threads import use_threads
from natdeploy.supernet.training import ElasticTrainer

_WEIGHTS = "supernet.safetensors"
_RECALIBRATION_IMAGES = 2048
_LOST = "only the epoch that was running is lost"


def start(
    output: Path, plan: TrainingPlan, mode: TrainingMode, *, group: ProcessGroup, context: Context
) -> TrainingResult:
    """Train in a new folder. Only the main process writes files and reports.

    Raises:
        InputError: The data is not valid, or `output` holds a run.
        InterruptedWorkError: The user interrupted the training. The hint is the command that resumes it.
        OutputError: Something cannot be written.
    """
    context = silence_unless_main(group, context)
    original = Original.open(plan, str(output), context.reporter) if plan.original else None
    task = _load_task(plan, original, group, context)
    warn_of_changed_task(plan.space, plan.weights, task, context.reporter)
    with _hold(output, group):
        run = RunFolder.create(output, {mode.command: dataclasses.asdict(plan)})
        training = _Training(
            folder=run, plan=plan, mode=mode, original=original, task=task, group=group, context=context
        )
        with run.resumable(mode.command, _LOST):
            group.barrier()
            if group.is_main:
                write_image_records(run.path, task.records)
                run.start()
            return training.run()


def resume(
    path: Path, mode: TrainingMode, data: str | Path | None, *, group: ProcessGroup, context: Context
) -> TrainingResult:
    """Resume training that was interrupted. It ends in the same weights as without the interruption.

    Raises:
        InputError: `path` is not the folder of such a run, a file in it is damaged, or its images have changed.
        OutputError: Something cannot be written.
    """
    with _hold(path, group):
        return _resume(RunFolder.open(path), mode, data, group=group, context=silence_unless_main(group, context))


def _hold(path: Path, group: ProcessGroup) -> contextlib.AbstractContextManager[None]:
    return hold_run(path) if group.is_main else contextlib.nullcontext()


def _resume(
    run: RunFolder, mode: TrainingMode, data: str | Path | None, *, group: ProcessGroup, context: Context
) -> TrainingResult:
    path = run.path
    plan = parse_config(TrainingPlan, lambda: run.config[mode.command], str(path / "run.toml"), mode.stage)
    plan = move_data(plan, data)
    original = Original.open(plan, str(path / "run.toml"), context.reporter) if plan.original else None
    recorded = find_recorded(run, plan.data, context.reporter)
    task = _load_task(plan, original, group, context, recorded)
    if data is not None:
        run = RunFolder(path, {mode.command: dataclasses.asdict(plan)})
        group.barrier()
        if group.is_main:
            run.start()
    training = _Training(folder=run, plan=plan, mode=mode, original=original, task=task, group=group, context=context)
    with run.resumable(mode.command, _LOST):
        return training.run()


def silence_unless_main(group: ProcessGroup, context: Context) -> Context:
    """Return a context whose reporter is silent in every process but the main one."""
    return context if group.is_main else dataclasses.replace(context, reporter=SilentReporter())


def _load_task(
    plan: TrainingPlan,
    original: Original | None,
    group: ProcessGroup,
    context: Context,
    recorded: Sequence[ImageRecord] | None = None,
) -> Task:
    if original is not None:
        return original.load_pictures(plan, context.reporter, recorded)
    return group.main_process_first(
        lambda: load_task(
            plan.data,
            plan.resolutions[-1],
            reporter=context.reporter,
            recorded=recorded,
            normalization=plan.normalization,
        )
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Training:
    folder: RunFolder
    plan: TrainingPlan
    mode: TrainingMode
    original: Original | None
    task: Task
    group: ProcessGroup
    context: Context

    def run(self) -> TrainingResult:
        """Train from the checkpoint to the end, evaluate, and write the weights."""
        self.context.reporter.info(f"run folder: {self.folder.path}")
        supernet, settings = self._build_supernet(), self.plan.settings
        make_trainer = (
            ElasticTrainer
            if self.original is None
            else functools.partial(DistillationTrainer, self.original.make_network(self.plan).to(self.group.device))
        )
        trainer = make_trainer(
            supernet,
            self._select_images(),
            settings.recipe,
            total_epochs=settings.epochs,
            largest_only_epochs=min(settings.largest_only_epochs, settings.epochs),
            seed=self.plan.settings.seed,
            group=self.group,
        )
        if self.folder.checkpoint.exists():
            trainer.restore(self.folder.checkpoint)
        with use_threads(self.plan.threads):
            self._train(trainer)
            trainer.use_average()
            return self._finish(supernet)

    def _build_supernet(self) -> Supernet:
        plan, source = self.plan, str(self.folder.path / "run.toml")
        supernet = Supernet(plan.space, len(self.task.classes), seed=plan.settings.seed).to(self.group.device)
        if self.folder.checkpoint.exists():
            if self.original is not None:
                supernet.keep_statistics()
        else:
            load_initial_weights(supernet, plan.weights, plan.weights_sha256, source)
            if self.original is not None and not plan.weights:
                self.original.fill(supernet, self.task, plan)
        return supernet

    def _select_images(self) -> Task:
        if self.mode.holds_out_validation or self.original is not None:
            return self.task
        return dataclasses.replace(self.task, train=concatenate(self.task.train, self.task.validation))

    def _train(self, trainer: ElasticTrainer) -> None:
        epochs = train_epochs(
            trainer, self.plan.settings.epochs, self.plan.genotypes, stage=self.mode.stage, context=self.context
        )
        for epoch in epochs:
            if self.group.is_main:
                trainer.save(self.folder.checkpoint)
                self.folder.record("epoch", dataclasses.asdict(epoch))

    def _finish(self, supernet: Supernet) -> TrainingResult:
        found = self._test_subnets(supernet)
        weights = self.folder.path / _WEIGHTS
        # The main process has written the epochs, so all processes read them from the folder.
        seconds = read_seconds(RunFolder.open(self.folder.path))
        result = TrainingResult(
            run=self.folder.path,
            weights=weights,
            supernet=self.plan.supernet,
            data=self.plan.data,
            epochs=self.plan.settings.epochs,
            seconds=round(float(sum(seconds.values())), 1),
            top1_source=self.mode.split if self.original is None else "agreement",
            largest_top1=found[0],
            smallest_top1=found[1],
            random_top1=tuple(found[2:]),
        )
        if self.group.is_main:
            write_state(weights, supernet.state_dict(), self._describe())
            self.folder.record("finished", {"at": self.context.clock.now().isoformat(), "result": result.to_json()})
        return result

    def _test_subnets(self, supernet: Supernet) -> list[float]:
        """Return top-1 of the largest, the smallest and the random subnets. Each process tests its share of them."""
        space, seed, group = self.plan.space, self.plan.settings.seed, self.group
        rows = sample(space, self.plan.settings.samples, np.random.default_rng(seed))
        tested = [largest(space), smallest(space), *(decode(space, row) for row in rows)]
        images = self._select_images()
        evaluator = SubnetEvaluator(supernet, images, recalibration_images=_RECALIBRATION_IMAGES, seed=seed)
        own: list[float] = []
        self.context.reporter.progress(self.mode.split, 0, len(tested))
        for place in range(group.rank, len(tested), group.world_size):
            own.append(self._measure_top1(evaluator, tested[place]))
            done = min(place + group.world_size, len(tested))
            self.context.reporter.progress(self.mode.split, done, len(tested), f"top-1 {own[-1]:.3f}")
        found = group.gather_interleaved(own, len(tested))
        if self.original is None and group.is_main:
            split = images.validation if self.mode.holds_out_validation else images.test
            warn_of_guessing(max(found), images, split, self.context.reporter)
        return found

    def _measure_top1(self, evaluator: SubnetEvaluator, architecture: Architecture) -> float:
        during = f"in the evaluation of a subnet at {architecture.resolution} pixels"
        with translate_oom(during, hint="train a new run with lower --resolutions"):
            if self.mode.holds_out_validation:
                return evaluator.top1(architecture)
            supernet = evaluator.supernet
            network = supernet.extract(architecture) if supernet.has_statistics else evaluator.extract(architecture)
            return evaluator.test_top1(network)

    def _describe(self) -> dict[str, str]:
        settings = dataclasses.asdict(self.plan)
        kept = {name: value for name, value in settings.items() if name not in {"data", "threads"}}
        kept |= {"weights": Path(self.plan.weights).name, "population": len(self.plan.population)}
        data = Path(self.task.name).name
        task = {**self.task.describe(), "dataset": data if self.original is None else self.original.dataset}
        return {TRAINING: json.dumps(kept), "data": data, TASK: json.dumps(task)}
