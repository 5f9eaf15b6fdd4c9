"""Adapting a supernet to a task without searching: elastic training from weights, for all architectures or some."""

from __future__ import annotations

from pathlib import Path

from natdeploy.api.context import Context
from natdeploy.api.training.initial_weights import require_weights
from natdeploy.api.training.run import TrainingMode, TrainingPlan, TrainingResult, context_of, resume, start
from natdeploy.io.datasets import resolved
from natdeploy.io.populations import read_population
from natdeploy.io.spaces import resolve_space
from natdeploy.supernet.distributed import join_process_group
from natdeploy.supernet.threads import prepare_torch

_MODE = TrainingMode(command="adapt", stage="adaptation", holds_out_validation=True)


def adapt(
    *,
    data: str,
    output: Path,
    supernet: str = "starter",
    weights: Path | str | None = None,
    population: Path | None = None,
    resolutions: tuple[int, ...] | None = None,
    width: float | None = None,
    epochs: int = 20,
    batch_size: int = 32,
    lr: float = 0.1,
    weight_decay: float = 1e-4,
    label_smoothing: float = 0.1,
    subnets: int = 2,
    distillation: bool = True,
    hard_label_weight: float = 0.0,
    cutmix: float = 0.0,
    sandwich: bool = False,
    ema_decay: float = 0.0,
    samples: int = 20,
    seed: int = 0,
    threads: int | None = None,
    context: Context | None = None,
) -> TrainingResult:
    """Train a supernet on a task, from weights that it has, with the steps of a search's adaptation.

    Validation images are not trained on: they tell the accuracy at the end, and whatever is chosen later is chosen by
    them. The arguments are those of `TrainingPlan`.

    Args:
        data: Name or folder of the data set.
        output: Folder of the run; it gets `supernet.safetensors`.
        supernet: Search space.
        weights: A file, `packaged` or `released`; the packaged weights where None.
        population: CSV of architectures, such as a run's `archive.csv`: subnets are drawn from the marginals of their
            genes. Uniformly where None.
        resolutions: Input sizes; the space's own where None.
        width: The only width; all of the space's where None.
        epochs: Epochs.
        batch_size: Images in a step.
        lr: Peak learning rate.
        weight_decay: Weight decay.
        label_smoothing: Label smoothing.
        subnets: Subnets of each step beside the largest.
        distillation: Whether the subnets learn from the largest network; else from the labels alone.
        hard_label_weight: Weight of the labels' loss beside the largest network's.
        cutmix: Probability that the images of a batch are mixed, and their labels by the area.
        sandwich: Whether one of the subnets of each step is always the smallest.
        ema_decay: Decay of the moving average of the weights; 0 for none.
        samples: Random subnets to evaluate at the end.
        seed: Seed of everything random.
        threads: Threads to train with.
        context: Reporter and clock.

    Raises:
        InputError: A name, a number, a file or the data is not valid, or `output` holds a run.
        InterruptedWorkError: Interrupted from the keyboard; the message says how to go on.
        MemoryShortageError: A step needs more memory than there is.
        OutputError: Something cannot be written.
    """
    context = context or Context()
    space = resolve_space(supernet, resolutions, width)
    rows = [] if population is None else read_population(population, space).tolist()
    with join_process_group() as group:
        reporter = context_of(group, context).reporter
        initial_weights = group.main_process_first(lambda: require_weights(space, weights, reporter=reporter))
        plan = TrainingPlan(
            supernet=supernet,
            resolutions=space.resolutions,
            widths=space.widths,
            data=resolved(data),
            epochs=epochs,
            largest_only_epochs=0,
            batch_size=batch_size,
            lr=lr,
            weight_decay=weight_decay,
            label_smoothing=label_smoothing,
            subnets=subnets,
            ema_decay=ema_decay,
            samples=samples,
            seed=seed,
            threads=prepare_torch(threads),
            distillation=distillation,
            hard_label_weight=hard_label_weight,
            cutmix=cutmix,
            sandwich=sandwich,
            weights=initial_weights.name,
            weights_sha256=initial_weights.sha256,
            population=tuple(" ".join(map(str, row)) for row in rows),
        )
        return start(output, plan, _MODE, group=group, context=context)


def resume_adaptation(path: Path, *, context: Context | None = None) -> TrainingResult:
    """Go on with an adaptation that was interrupted; it ends in the weights that it would have had.

    Raises:
        InputError: `path` is not the folder of such a run, or a file in it is damaged.
        OutputError: Something cannot be written.
    """
    with join_process_group() as group:
        return resume(path, _MODE, group=group, context=context or Context())
