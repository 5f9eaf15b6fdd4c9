"""Pretraining a supernet from nothing: the largest network first, then all of them, each distilled from it."""

from __future__ import annotations

from pathlib import Path

from natdeploy.api.context import Context
from natdeploy.api.training.default_recipes import PRETRAINING, Recipe
from natdeploy.api.training.initial_weights import require_weights
from natdeploy.api.training.plan import TrainingMode, TrainingPlan
from natdeploy.api.training.results import TrainingResult
from natdeploy.io.dataset_names import resolve_dataset
from natdeploy.io.runs import RunFolder
from natdeploy.io.spaces import resolve_space
from natdeploy.supernet.threads import choose_threads

_MODE = TrainingMode(command="pretrain", stage="pretraining", holds_out_validation=False)


def pretrain(
    *,
    data: str,
    output: Path,
    supernet: str = "starter",
    weights: Path | str | None = None,
    resolutions: tuple[int, ...] | None = None,
    width: float | None = None,
    epochs: int = 60,
    largest_only_epochs: int = 30,
    recipe: Recipe = PRETRAINING,
    samples: int = 20,
    seed: int = 0,
    threads: int | None = None,
    context: Context | None = None,
) -> TrainingResult:
    """Train a supernet from random weights, or on from given ones, and test it.

    Train and validation images are all trained on, since nothing is chosen by them; the test images only tell the
    accuracy at the end. Of the subnets of each step one is the smallest. The arguments are those of `TrainingPlan`.

    Args:
        data: Name or folder of the data set.
        output: Folder of the run; it gets `supernet.safetensors`.
        supernet: Search space.
        weights: A file to go on from, `packaged` or `released`; random weights where None.
        resolutions: Input sizes; the space's own where None.
        width: The only width; all of the space's where None.
        epochs: Epochs in all.
        largest_only_epochs: Epochs, at the beginning, of the largest network alone.
        recipe: How each step is made.
        samples: Random subnets to test.
        seed: Seed of everything random.
        threads: Threads to train with.
        context: Reporter and clock.

    Raises:
        InputError: A name, a number or the data is not valid, or `output` holds a run.
        InterruptedWorkError: Interrupted from the keyboard; the message says how to go on.
        MemoryShortageError: A step needs more memory than there is.
        OutputError: Something cannot be written.
    """
    context = context or Context()
    space = resolve_space(supernet, resolutions, width)
    dataset = resolve_dataset(data)
    # Bad names are refused before this is imported, since torch takes seconds.
    from natdeploy.api.training.run import silence_unless_main, start
    from natdeploy.supernet.distributed import join_process_group

    with join_process_group() as group:
        reporter = silence_unless_main(group, context).reporter
        initial_weights = (
            None
            if weights is None
            else group.main_process_first(lambda: require_weights(space, weights, reporter=reporter))
        )
        plan = TrainingPlan(
            supernet=supernet,
            resolutions=space.resolutions,
            widths=space.widths,
            data=dataset,
            epochs=epochs,
            largest_only_epochs=min(largest_only_epochs, epochs),
            samples=samples,
            seed=seed,
            threads=threads or choose_threads(),
            recipe=recipe,
            weights=initial_weights.name if initial_weights else "",
            weights_sha256=initial_weights.sha256 if initial_weights else (),
        )
        return start(output, plan, _MODE, group=group, context=context)


def resume_pretraining(path: Path, *, context: Context | None = None) -> TrainingResult:
    """Go on with pretraining that was interrupted; it ends in the weights that it would have had.

    Raises:
        InputError: `path` is not the folder of such a run, or a file in it is damaged.
        OutputError: Something cannot be written.
    """
    RunFolder.open(path)
    from natdeploy.api.training.run import resume
    from natdeploy.supernet.distributed import join_process_group

    with join_process_group() as group:
        return resume(path, _MODE, group=group, context=context or Context())
