"""The supernet of a run with its trainer and its evaluator."""

from __future__ import annotations

from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.training.initial_weights import load_initial_weights
from natdeploy.io.runs import RunFolder
from natdeploy.supernet.accelerator import choose_device
from natdeploy.supernet.data import Task
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.training import ElasticTrainer


def build_supernet(plan: SearchPlan, run: RunFolder, task: Task) -> tuple[SubnetEvaluator, ElasticTrainer]:
    """Build evaluator and trainer of a run, from its checkpoint if there is one, on a GPU if possible."""
    preset = plan.preset
    supernet = Supernet(plan.space, len(task.classes), seed=plan.seed).to(choose_device())
    # The checkpoint contains all weights. The file of the initial ones may be gone by then.
    if not run.checkpoint.exists():
        load_initial_weights(supernet, plan.weights, plan.weights_sha256, str(run.path / "run.toml"))
    trainer = ElasticTrainer(
        supernet,
        task,
        preset.recipe,
        total_epochs=max(1, plan.total_epochs),
        largest_only_epochs=plan.largest_only_epochs,
        seed=plan.seed,
    )
    if run.checkpoint.exists():
        trainer.restore(run.checkpoint)
    evaluator = SubnetEvaluator(supernet, task, recalibration_images=preset.recalibration_images, seed=plan.seed)
    return evaluator, trainer
