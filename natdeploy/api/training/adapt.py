"""Adaptation of a supernet to a task without a search."""

from __future__ import annotations

from pathlib import Path

from natdeploy.api.context import Context
from natdeploy.api.default_supernet import choose_space
from natdeploy.api.training.initial_weights import require_weights
from natdeploy.api.training.plan import TrainingMode, TrainingPlan
from natdeploy.api.training.results import TrainingResult
from natdeploy.api.training.resuming import resume_training
from natdeploy.api.training.settings import ADAPTATION, TrainingSettings
from natdeploy.core.checked import checked
from natdeploy.core.ranges import Threads
from natdeploy.io.dataset_names import resolve_dataset
from natdeploy.io.populations import read_population
from natdeploy.io.runs import require_new_run
from natdeploy.io.space_files import compute_space_hash
from natdeploy.io.spaces import SpaceSelector
from natdeploy.supernet.threads import choose_threads

_MODE = TrainingMode(command="adapt", stage="adaptation", holds_out_validation=True)


@checked
def adapt(
    *,
    data: str | Path,
    output: Path,
    supernet: str | SpaceSelector | None = None,
    weights: Path | str | None = None,
    population: Path | None = None,
    settings: TrainingSettings = ADAPTATION,
    threads: Threads | None = None,
    context: Context | None = None,
) -> TrainingResult:
    """Train a supernet on a task, starting from weights, as the adaptation steps of a search do.

    Validation images are not trained on. The accuracy at the end is measured on them, and so are later choices.

    Args:
        data: Name or folder of the data set.
        output: Folder of the run. `supernet.safetensors` is written there.
        supernet: Search space, whole or in part. If None, that of a weight file that names it,
            else `lite` for photographs, and `starter` for smaller images.
        weights: A file, `packaged` or `released`; the packaged weights if None.
        population: CSV file of architectures, such as a run's `archive.csv`. Subnets are drawn from the marginals of
            their genes, or uniformly if None.
        settings: Epochs, recipe, tests and seed.
        threads: Threads of each process; up to 8 if None.
        context: Reporter and clock.

    Raises:
        InputError: A name, a number, a file or the data is not valid, or `output` holds a run.
        InterruptedWorkError: The user interrupted the training. The hint is the command that resumes it.
        MemoryShortageError: A step needs more memory than is available.
        OutputError: Something cannot be written.
    """
    context = context or Context()
    dataset = resolve_dataset(data)
    space, reason = choose_space(supernet, dataset, weights)
    require_new_run(output)
    rows = [] if population is None else read_population(population, space).tolist()
    # Torch takes seconds to import, so bad names are refused first.
    from natdeploy.api.training.run import silence_unless_main, start
    from natdeploy.supernet.distributed import join_process_group

    with join_process_group() as group:
        reporter = silence_unless_main(group, context).reporter
        if reason:
            reporter.info(reason)
        initial_weights = group.main_process_first(lambda: require_weights(space, weights, reporter=reporter))
        plan = TrainingPlan(
            supernet=space.source,
            space_sha256=compute_space_hash(space),
            resolutions=space.resolutions,
            widths=space.widths,
            data=dataset,
            settings=settings,
            threads=threads or choose_threads(),
            weights=initial_weights.name,
            weights_sha256=initial_weights.sha256,
            normalization=initial_weights.read_normalization(),
            population=tuple(" ".join(map(str, row)) for row in rows),
        )
        return start(output, plan, _MODE, group=group, context=context)


@checked
def resume_adaptation(path: Path, *, data: str | Path | None = None, context: Context | None = None) -> TrainingResult:
    """Resume an adaptation that was interrupted. It ends in the same weights as without the interruption.

    Args:
        path: Folder of the run.
        data: Folder where its images are now. None: they are where they were.
        context: Reporter and clock.

    Raises:
        InputError: `path` is not the folder of such a run, a file in it is damaged, or its images have changed.
        OutputError: Something cannot be written.
    """
    return resume_training(path, _MODE, data, context)
