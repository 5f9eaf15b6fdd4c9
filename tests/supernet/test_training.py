"""Elastic training and the evaluation of subnets."""

from pathlib import Path

import numpy as np
import pytest
import torch

from natdeploy.core.architecture import largest, smallest
from natdeploy.core.genotype import sample
from natdeploy.errors import DivergedError, InputError, OutputError
from natdeploy.io.datasets import load_task
from natdeploy.io.spaces import find_space
from natdeploy.supernet.batchnorm import recalibrate
from natdeploy.supernet.data import Task
from natdeploy.supernet.evaluation import SubnetEvaluator, top1
from natdeploy.supernet.recipe import Recipe
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.training import ElasticTrainer

SPACE = find_space("starter").with_resolutions((32,))


@pytest.fixture(scope="module")
def task() -> Task:
    """A small part of the digits."""
    whole = load_task("digits", 32)
    return Task(
        name=whole.name,
        classes=whole.classes,
        mean=whole.mean,
        std=whole.std,
        flip=False,
        train=whole.train.select(np.arange(0, len(whole.train), 4)),
        validation=whole.validation.select(np.arange(128)),
        test=whole.test,
    )


def make_trainer(task: Task, *, epochs: int = 3) -> ElasticTrainer:
    """A trainer whose first epoch trains the largest network alone."""
    supernet = Supernet(SPACE, len(task.classes), seed=3)
    recipe = Recipe(lr=0.1)
    return ElasticTrainer(supernet, task, recipe, total_epochs=epochs, largest_only_epochs=1, seed=7)


def test_training_lowers_the_loss_and_finds_classes(task: Task) -> None:
    """Some epochs on real images lower the loss, and the largest subnet is then far better than chance."""
    trainer = make_trainer(task, epochs=8)
    trainer.largest_only_epochs = 8
    losses = [trainer.train_epoch(number, None) for number in range(8)]
    assert losses[-1] < 0.8 * losses[0]
    assert SubnetEvaluator(trainer.supernet, task).top1(largest(SPACE)) > 0.3


def test_training_resumed_from_a_checkpoint_ends_in_the_same_weights(task: Task, tmp_path: Path) -> None:
    """An interrupted training that goes on from its checkpoint is equal to the last bit."""
    population = sample(SPACE, 5, np.random.default_rng(0))
    whole, first, second = make_trainer(task), make_trainer(task), make_trainer(task)
    for number in range(3):
        whole.train_epoch(number, population)
    first.train_epoch(0, population)
    first.save(tmp_path / "supernet.pt")
    second.restore(tmp_path / "supernet.pt")
    for number in range(1, 3):
        second.train_epoch(number, population)
    for name, tensor in whole.supernet.state_dict().items():
        assert torch.equal(tensor, second.supernet.state_dict()[name]), name


def test_epochs_must_follow_one_another(task: Task) -> None:
    """An epoch that is not the next one is refused."""
    with pytest.raises(InputError, match="epoch 2 cannot follow 0"):
        make_trainer(task).train_epoch(2, None)


def test_damaged_checkpoint_is_refused(task: Task, tmp_path: Path) -> None:
    """A checkpoint that was cut short is an error that names the file."""
    trainer, path = make_trainer(task), tmp_path / "supernet.pt"
    trainer.save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"supernet\.pt"):
        trainer.restore(path)


@pytest.mark.parametrize(("lr", "ema_decay"), [(1e3, 0.0), (1e8, 0.0), (1e12, 0.9)])
def test_training_that_diverges_ends_before_its_epoch_counts(task: Task, lr: float, ema_decay: float) -> None:
    """With a learning rate that is far too high, the epoch ends as an error, and no epoch is done."""
    recipe = Recipe(lr=lr, batch_size=64, ema_decay=ema_decay)
    supernet = Supernet(SPACE, len(task.classes), seed=3)
    trainer = ElasticTrainer(supernet, task, recipe, total_epochs=3, largest_only_epochs=0, seed=7)
    with pytest.raises(DivergedError, match="training has diverged") as diverged:
        trainer.train_epoch(0, None)
    assert f"a lower --lr than {lr:g}" in str(diverged.value.hint)
    assert trainer.done == 0


def test_a_step_whose_update_breaks_a_weight_is_found_at_the_end_of_the_epoch(task: Task) -> None:
    """Where the last loss is finite but a weight no longer is, or its moving average, the epoch is an error, too."""
    for broken in ("weight", "statistics"):
        trainer = make_trainer(task)
        batchnorm = trainer.supernet.engine(0.5).stem.bn
        tensor = trainer.supernet.engine(0.5).classifier.bias if broken == "weight" else batchnorm.running_mean
        count = trainer.steps_per_epoch
        seen: list[int] = []

        def break_last(tensor: torch.Tensor = tensor, seen: list[int] = seen, count: int = count) -> None:
            seen.append(1)
            if len(seen) == count:
                tensor.data.fill_(torch.inf)

        with pytest.raises(DivergedError, match=r"epoch 1 leaves values that are not finite"):
            trainer.train_epoch(0, None, on_step=break_last)
        assert trainer.done == 0


@pytest.mark.parametrize("part", ["supernet", "average"])
def test_a_checkpoint_of_training_that_had_diverged_is_not_resumed(task: Task, tmp_path: Path, part: str) -> None:
    """Weights and moving averages that are not finite are refused by name, as in any weight file."""
    trainer, path = make_trainer(task), tmp_path / "supernet.pt"
    trainer.save(path)
    content = torch.load(path, weights_only=True)
    if part == "supernet":
        next(iter(content["supernet"].values())).fill_(torch.nan)
    else:
        content["average"] = [torch.tensor([torch.nan])]
    torch.save(content, path)
    with pytest.raises(InputError, match=r"supernet\.pt: contains values that are not finite numbers, in \w+"):
        trainer.restore(path)


@pytest.mark.parametrize("content", [[], {"epochs": 1}, {"supernet": {}, "average": [], "optimizer": {}, "epochs": 0}])
def test_a_checkpoint_of_something_else_is_refused(task: Task, tmp_path: Path, content: object) -> None:
    """What is no state of this training is one error that names the file."""
    torch.save(content, tmp_path / "supernet.pt")
    with pytest.raises(InputError, match=r"supernet\.pt: not a checkpoint of this run"):
        make_trainer(task).restore(tmp_path / "supernet.pt")


def test_full_disk_while_saving_keeps_the_last_checkpoint(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the error says so, and the checkpoint of before is whole."""
    trainer, path = make_trainer(task), tmp_path / "supernet.pt"
    trainer.save(path)
    before = path.read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        trainer.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["supernet.pt"]


def test_adaptation_trains_only_what_the_population_uses(task: Task) -> None:
    """With a population of the smallest architecture alone, layers that only deeper subnets have get no distillation.

    They are trained through the largest network only; without it their weights would not move at all.
    """
    trainer = make_trainer(task)
    trainer.largest_only_epochs = 0
    genotype = np.array([[0, 0, *([1, 1, 0, 0] * 5)]])
    drawn = trainer._draw(genotype, np.random.default_rng(0))
    assert set(drawn) == {smallest(SPACE)}


def test_recalibration_takes_the_statistics_of_the_given_images(task: Task) -> None:
    """After recalibration BatchNorm normalizes the recalibration images themselves, and weights are untouched."""
    evaluator = SubnetEvaluator(Supernet(SPACE, 10, seed=1), task)
    network = evaluator.extract(smallest(SPACE))
    images = task.prepare(task.train.images, 32)
    weights = {name: tensor.clone() for name, tensor in network.named_parameters()}
    recalibrate(network, [images])
    seen: list[torch.Tensor] = []
    assert network.stem.bn is not None
    network.stem.bn.register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    with torch.inference_mode():
        network(images)
    assert torch.allclose(seen[0].mean(dim=(0, 2, 3)), torch.zeros(seen[0].shape[1]), atol=0.02)
    assert torch.allclose(seen[0].std(dim=(0, 2, 3)), torch.ones(seen[0].shape[1]), atol=0.05)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.named_parameters())


def test_evaluation_leaves_the_supernet_alone_and_repeats(task: Task) -> None:
    """Evaluating a subnet changes nothing in the supernet, and gives the same figure again."""
    supernet = Supernet(SPACE, 10, seed=1)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    evaluator = SubnetEvaluator(supernet, task)
    assert evaluator.top1(largest(SPACE)) == evaluator.top1(largest(SPACE))
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())


def test_top1_counts_correct_answers(task: Task) -> None:
    """Top-1 is the share of images whose largest logit is at their label."""
    network = SubnetEvaluator(Supernet(SPACE, 10, seed=1), task).extract(smallest(SPACE))
    images = task.prepare(task.validation.images, 32)
    with torch.inference_mode():
        answers = network(images).argmax(dim=1)
    labels = answers.clone()
    labels[: len(labels) // 4] = (labels[: len(labels) // 4] + 1) % 10
    batches = zip(images.split(48), labels.split(48), strict=True)
    assert top1(network, batches) == pytest.approx(0.75)


def moved(task: Task, recipe: Recipe) -> set[str]:
    """Train an epoch on the smallest architecture, and return the parameters that are different then."""
    supernet = Supernet(SPACE, len(task.classes), seed=3)
    before = {name: tensor.clone() for name, tensor in supernet.named_parameters()}
    trainer = ElasticTrainer(supernet, task, recipe, total_epochs=3, largest_only_epochs=0, seed=7)
    trainer.train_epoch(0, np.array([[0, 0, *([1, 1, 0, 0] * 5)]]))
    return {name for name, tensor in supernet.named_parameters() if not torch.equal(tensor, before[name])}


def test_without_distillation_only_what_is_drawn_is_trained(task: Task) -> None:
    """Subnets that learn from the labels alone leave what they do not use as it was; a teacher trains everything."""
    alone, taught = moved(task, Recipe(batch_size=128, distillation=False)), moved(task, Recipe(batch_size=128))
    assert alone < taught
    assert any("classifier" in name for name in alone)


def test_the_learning_rate_rises_and_falls(task: Task) -> None:
    """The learning rate rises over its first epochs, is at its peak then, and ends at zero."""
    supernet = Supernet(SPACE, len(task.classes), seed=3)
    recipe = Recipe(lr=0.5, lr_warmup_epochs=2)
    trainer = ElasticTrainer(supernet, task, recipe, total_epochs=6, largest_only_epochs=0, seed=7)
    rates = []
    for epochs in (0.0, 1.0, 2.0, 4.0, 6.0):
        trainer._set_lr(epochs)
        rates.append(trainer._optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.02, 0.26, 0.5, 0.25, 0.0])


def test_subnets_learn_from_hard_labels_beside_the_teacher(task: Task) -> None:
    """The labels' loss counts by its weight beside the teacher's, whole or mixed labels alike."""
    logits, labels = torch.randn(4, 10), torch.arange(4)
    teacher = torch.full((4, 10), 0.1)
    losses = []
    for weight in (0.0, 1.0, 2.0):
        supernet = Supernet(SPACE, len(task.classes), seed=3)
        recipe = Recipe(hard_label_weight=weight)
        trainer = ElasticTrainer(supernet, task, recipe, total_epochs=3, largest_only_epochs=0, seed=7)
        losses.append(trainer._compute_loss(logits, labels, teacher))
        shares = torch.nn.functional.one_hot(labels, 10).float()
        assert torch.allclose(trainer._compute_loss(logits, shares, teacher), losses[-1])
    alone = trainer._compute_loss(logits, labels, None)
    assert torch.allclose(losses[1] - losses[0], alone)
    assert torch.allclose(losses[2] - losses[0], 2 * alone)


def test_training_on_mixed_images_resumes_to_the_same_weights(task: Task, tmp_path: Path) -> None:
    """Which batches are mixed, and how, hangs on the seed and the epoch alone."""
    trainers = []
    for _ in range(3):
        supernet = Supernet(SPACE, len(task.classes), seed=3)
        recipe = Recipe(batch_size=64, cutmix=0.5, hard_label_weight=1.0)
        trainers.append(ElasticTrainer(supernet, task, recipe, total_epochs=2, largest_only_epochs=0, seed=7))
    whole, first, second = trainers
    for number in range(2):
        whole.train_epoch(number, None)
    first.train_epoch(0, None)
    first.save(tmp_path / "supernet.pt")
    second.restore(tmp_path / "supernet.pt")
    second.train_epoch(1, None)
    for name, tensor in whole.supernet.state_dict().items():
        assert torch.equal(tensor, second.supernet.state_dict()[name]), name
