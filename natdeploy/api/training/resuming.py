"""Resuming elastic training."""

from __future__ import annotations

from pathlib import Path

from natdeploy.api.context import Context
from natdeploy.api.training.plan import TrainingMode
from natdeploy.api.training.results import TrainingResult
from natdeploy.io.runs import RunFolder


def resume_training(path: Path, mode: TrainingMode, data: str | Path | None, context: Context | None) -> TrainingResult:
    """Resume training that was interrupted. It ends in the same weights as without the interruption.

    Args:
        path: Folder of the run.
        mode: What it does.
        data: Folder where its images are now. None: they are where they were.
        context: Reporter and clock.

    Raises:
        InputError: `path` is not the folder of such a run, a file in it is damaged, or its images have changed.
        OutputError: Something cannot be written.
    """
    RunFolder.open(path)
    # Torch takes seconds to import, so a wrong folder is refused first.
    from natdeploy.api.training.run import resume
    from natdeploy.supernet.distributed import join_process_group

    with join_process_group() as group:
        return resume(path, mode, data, group=group, context=context or Context())
