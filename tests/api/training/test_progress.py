"""Progress of long training: by the step, with the speed, at most once a second."""

from pathlib import Path

import pytest

from natdeploy.api.context import Context
from natdeploy.api.training.progress import StepProgress, read_seconds, train_epochs
from natdeploy.errors import InputError
from natdeploy.io.runs import RunFolder
from natdeploy.supernet.recipe import Recipe
from natdeploy.testing.fakes import FakeClock, RecordingReporter, Step


class SlowTrainer:
    """Trains nothing; each step takes the given seconds of a clock."""

    steps_per_epoch, recipe = 4, Recipe(batch_size=32)

    def __init__(self, clock, step_s):
        self._clock, self._step_s, self.done = clock, step_s, 1

    def train_epoch(self, number, population, *, on_step):
        """Take the time of an epoch."""
        for _ in range(self.steps_per_epoch):
            self._clock.advance(self._step_s)
            on_step()
        self.done += 1
        return 0.5


def run(step_s):
    """Train two epochs after the first; return what was yielded and what was reported."""
    clock, reporter = FakeClock(), RecordingReporter()
    context = Context(reporter=reporter, clock=clock)
    trainer = SlowTrainer(clock, step_s)
    return list(train_epochs(trainer, 3, None, stage="warm-up", context=context)), reporter.steps


def test_the_first_epoch_is_told_by_the_step_with_its_speed():
    """A slow step is reported at once, counted within the whole stage; 32 images in 2 s are 16 images/s."""
    _, steps = run(2.0)
    assert steps[0] == Step(stage="warm-up", done=0, total=8, detail="epoch 1 of 2")
    assert steps[1] == Step(stage="warm-up", done=1, total=8, detail="epoch 1 of 2, 16 images/s")
    assert [step.done for step in steps] == [0, 1, 2, 3, 4, 4, 4, 5, 6, 7, 8]
    assert steps[-1].detail == "epoch 2 of 2, loss 0.500"


def test_quick_steps_are_not_told_one_by_one():
    """Of steps of 0.4 s the third is reported, so that reports cost nothing; each epoch is reported at its end."""
    _, steps = run(0.4)
    assert [step.done for step in steps] == [0, 3, 4, 4, 7, 8]


def test_epochs_have_number_loss_and_duration():
    """Each epoch is yielded with its number in the whole training and the time that it took."""
    epochs, _ = run(2.0)
    assert [(epoch.number, epoch.loss, epoch.seconds) for epoch in epochs] == [(1, 0.5, 8.0), (2, 0.5, 8.0)]


@pytest.mark.parametrize(("step_s", "told"), [(0.2, []), (0.7, [2, 3])])
def test_short_work_without_parts_is_silent(step_s, told):
    """Three steps within a second are not reported at all, longer ones while they run and at their end."""
    clock, reporter = FakeClock(), RecordingReporter()
    progress = StepProgress(Context(reporter=reporter, clock=clock), "test", 3, 128)
    for _ in range(3):
        clock.advance(step_s)
        progress.step()
    progress.end("top-1 0.500")
    assert [step.done for step in reporter.steps] == told


@pytest.mark.parametrize("event", [{}, {"number": 0, "seconds": -1.0}, {"number": 0, "seconds": "1"}, {"number": "0"}])
def test_a_damaged_epoch_is_named(tmp_path: Path, event: dict[str, object]) -> None:
    """An event that no training has written is refused with its file."""
    run = RunFolder.create(tmp_path, {})
    run.record("epoch", {"number": 0, "seconds": 1.5})
    assert read_seconds(run) == {0: 1.5}
    run.record("epoch", event)
    with pytest.raises(InputError, match=r"journal\.jsonl: the event of an epoch is damaged"):
        read_seconds(run)
