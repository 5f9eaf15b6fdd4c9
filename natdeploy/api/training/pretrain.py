"""Pretraining of a supernet: first the largest network, then all subnets, each distilled from the largest."""

from __future__ import annotations

from pathlib import Path

from natdeploy.api.context import Context
from natdeploy.api.training.initial_weights import require_weights
from natdeploy.api.training.plan import TrainingMode, TrainingPlan
from natdeploy.api.training.results import TrainingResult
from natdeploy.api.training.resuming import resume_training
from natdeploy.api.training.settings import DISTILLATION, PRETRAINING, TrainingSettings
from natdeploy.core.checked import checked
from natdeploy.core.ranges import Threads
from natdeploy.errors import InputError
from natdeploy.io.dataset_names import resolve_dataset
from natdeploy.io.pretrained_networks import find_pretrained_network
from natdeploy.io.runs import require_new_run
from natdeploy.io.space_files import compute_space_hash
from natdeploy.io.spaces import SpaceSelector, resolve_space
from natdeploy.supernet.threads import choose_threads

_MODE = TrainingMode(command="pretrain", stage="pretraining", holds_out_validation=False)


@checked
def pretrain(
    *,
    data: str | Path,
    output: Path,
    supernet: str | SpaceSelector = "starter",
    weights: Path | str | None = None,
    original: str = "",
    settings: TrainingSettings | None = None,
    threads: Threads | None = None,
    context: Context | None = None,
) -> TrainingResult:
    """Train a supernet from random weights, or continue from given ones, and test it.

    Both train and validation images are trained on, because no choice depends on them. The accuracy at the end is
    measured on the test images.

    Args:
        data: Name or folder of the data set.
        output: Folder of the run. `supernet.safetensors` is written there.
        supernet: Search space, whole or in part.
        weights: A file to continue from, `packaged` or `released`; random weights if None.
        original: A pretrained network, which becomes the largest one and teaches all others: a name of
            `natdeploy.io.pretrained_networks`, or a file. `data` is then a folder of pictures without labels. With
            `weights`, which must come from an earlier run with it, it only teaches. Empty for none.
        settings: Epochs, recipe, tests and seed. If None, `DISTILLATION` with a pretrained network, else `PRETRAINING`.
        threads: Threads of each process; up to 8 if None.
        context: Reporter and clock.

    Raises:
        InputError: A name, a number or the data is not valid, or `output` holds a run.
        InterruptedWorkError: The user interrupted the training. The hint is the command that resumes it.
        MemoryShortageError: A step needs more memory than is available.
        OutputError: Something cannot be written.
    """
    context = context or Context()
    space = resolve_space(supernet)
    dataset = _resolve_pictures(data) if original else resolve_dataset(data)
    settings = settings or (DISTILLATION if original else PRETRAINING)
    require_new_run(output)
    # Torch takes seconds to import, so bad names are refused first.
    from natdeploy.api.training.run import silence_unless_main, start
    from natdeploy.supernet.distributed import join_process_group

    with join_process_group() as group:
        reporter = silence_unless_main(group, context).reporter
        initial_weights = (
            None
            if weights is None
            else group.main_process_first(lambda: require_weights(space, weights, reporter=reporter))
        )
        # One process alone downloads.
        network = group.main_process_first(lambda: find_pretrained_network(original, reporter)) if original else None
        plan = TrainingPlan(
            supernet=space.source,
            space_sha256=compute_space_hash(space),
            resolutions=space.resolutions,
            widths=space.widths,
            data=dataset,
            settings=settings,
            threads=threads or choose_threads(),
            weights=initial_weights.name if initial_weights else "",
            weights_sha256=initial_weights.sha256 if initial_weights else (),
            normalization=initial_weights.read_normalization() if initial_weights else (),
            original=network.name if network else "",
            original_sha256=network.sha256 if network else "",
        )
        return start(output, plan, _MODE, group=group, context=context)


@checked
def resume_pretraining(path: Path, *, data: str | Path | None = None, context: Context | None = None) -> TrainingResult:
    """Resume pretraining that was interrupted. It ends in the same weights as without the interruption.

    Args:
        path: Folder of the run.
        data: Folder where its images are now. None: they are where they were.
        context: Reporter and clock.

    Raises:
        InputError: `path` is not the folder of such a run, a file in it is damaged, or its images have changed.
        OutputError: Something cannot be written.
    """
    return resume_training(path, _MODE, data, context)


def _resolve_pictures(data: str | Path) -> str:
    if not Path(data).is_dir():
        msg = f"--data {data}: no such folder; a pretrained network is distilled on a folder of pictures"
        raise InputError(msg)
    return str(Path(data).resolve())
