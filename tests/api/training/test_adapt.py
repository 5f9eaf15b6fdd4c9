"""Adapting a supernet to a task without searching."""

import dataclasses
import json
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from natdeploy import api, cli
from natdeploy.core.genotype import sample_initial
from natdeploy.errors import InputError, InterruptedWorkError, MemoryShortageError
from natdeploy.io import supernet_weights
from natdeploy.io.spaces import find_space
from natdeploy.journal import Journal
from natdeploy.supernet.checkpoints import read_state, write_state
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.training import ElasticTrainer
from natdeploy.testing.fakes import RecordingReporter, Step
from tests.support.torchrun import torchrun

SMALL = {"epochs": 2, "samples": 1, "seed": 4}
OPTIONS = shlex.split(
    "--data images --batch-size 8 --samples 1 --resolutions 32 --seed 4 --threads 1 --weights w.safetensors"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with images of three classes and weights that were made for twelve."""
    rng = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green", "blue")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 90, size=(32, 32, 3), dtype=np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    supernet = Supernet(find_space("starter"), 12, seed=3)
    write_state(tmp_path / "w.safetensors", supernet.state_dict())
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def adapt(output: str, **changes: object) -> api.TrainingResult:
    """Adapt as little as can be."""
    given = {"weights": Path("w.safetensors"), "threads": 1}
    given |= {name: value for name, value in changes.items() if name not in SMALL}
    recipe = dataclasses.replace(api.ADAPTATION.recipe, batch_size=8)
    small = api.TrainingSettings(
        recipe=recipe, **{**SMALL, **{name: changes[name] for name in SMALL if name in changes}}
    )
    space = api.SpaceSelector("starter", (32,))
    return api.adapt(data="images", output=Path(output), supernet=space, settings=small, **given)  # type: ignore[arg-type]


def same(first: api.TrainingResult, second: api.TrainingResult) -> bool:
    """Tell whether two runs ended in the same weights, to the last bit."""
    states = [read_state(result.weights) for result in (first, second)]
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_adaptation_leaves_weights_that_a_search_begins_with(folder: Path) -> None:
    """The weights are those given, trained on, with a classifier of the task; validation images tell the accuracy."""
    result = adapt("run")
    supernet = Supernet(find_space("starter").with_resolutions((32,)), 3)
    assert supernet.load_weights(result.weights)
    before, after = read_state(folder / "w.safetensors"), read_state(result.weights)
    name = "engines.w0_5.blocks.3.expand.conv.weight"
    moved = (after[name] - before[name]).norm() / before[name].norm()
    assert 0 < moved < 0.5
    assert result.top1_source == "validation"
    assert len(result.random_top1) == 1
    settings = tomllib.loads((result.run / "run.toml").read_text())["adapt"]
    assert (settings["weights"], settings["population"]) == (str(folder / "w.safetensors"), [])
    bare = api.extract(written_row(folder), supernet="starter", weights=result.weights, output=Path("bare.json"))
    task = api.load_subnet(bare.subnet)[0].task
    assert task is not None
    assert (task["dataset"], task["classes"]) == ("images", ["blue", "green", "red"])
    extracted = api.extract(written_row(folder), supernet="starter", weights=result.weights, data="images")
    assert extracted.validation_top1 is not None


def written_row(folder: Path) -> Path:
    """Write an architecture and return its file."""
    row = {"w": 0.5, "r": 32, "d": [2] * 5, "e": [3] * 10, "ks": [3] * 10}
    (folder / "row.json").write_text(json.dumps(row))
    return folder / "row.json"


def test_adaptation_that_was_interrupted_resumes_to_the_same_weights(folder: Path) -> None:
    """A run stopped after its first epoch and resumed ends in equal weights, even when what it began with is gone."""
    with pytest.raises(InterruptedWorkError, match="interrupted") as stopped:
        adapt("stopped", context=api.Context(reporter=RecordingReporter(stop_after_first)))
    assert "natdeploy adapt --resume stopped" in str(stopped.value.hint)
    whole = adapt("whole")
    (folder / "w.safetensors").unlink()
    assert same(api.resume_adaptation(Path("stopped")), whole)


def stop_after_first(step: Step) -> None:
    """Interrupt the work after its first epoch."""
    if step.stage == "adaptation" and step.detail.startswith("epoch 1 of 2, loss"):
        raise KeyboardInterrupt


def test_a_folder_that_grew_and_moved_does_not_change_a_run(folder: Path) -> None:
    """A resumed run keeps its images and splits; new images are told, and the folder can be named again."""
    whole = adapt("whole")
    with pytest.raises(InterruptedWorkError):
        adapt("stopped", context=api.Context(reporter=RecordingReporter(stop_after_first)))
    for name in ("red", "green", "blue"):
        for number in range(5):
            Image.new("RGB", (32, 32), (number, 7, 9)).save(folder / "images" / name / f"0-{number}.png")
    (folder / "images").rename(folder / "elsewhere")
    with pytest.raises(InputError, match="the folder with the images of the run is not there") as caught:
        api.resume_adaptation(Path("stopped"))
    assert caught.value.hint == "if it has moved, name it with --data FOLDER"
    reporter = RecordingReporter()
    resumed = api.resume_adaptation(Path("stopped"), data="elsewhere", context=api.Context(reporter=reporter))
    assert same(resumed, whole)
    assert any("15 images are new (" in told and "not used" in told for told in reporter.warnings)
    assert cli.run(["adapt", "--resume", "stopped"]) == 0


def test_weights_of_a_folder_that_grew_say_so(folder: Path) -> None:
    """Splits drawn anew may validate on images that were trained on: every use of the weights tells it."""
    weights = adapt("run", epochs=1).weights
    row = written_row(folder)
    reporter = RecordingReporter()
    context = api.Context(reporter=reporter)
    api.extract(row, supernet="starter", weights=weights, data="images", context=context)
    assert not any("its images have changed" in line for line in reporter.warnings)
    Image.new("RGB", (32, 32), (1, 7, 9)).save(folder / "images" / "red" / "new.png")
    api.extract(row, supernet="starter", weights=weights, data="images", context=context)
    adapt("again", weights=weights, epochs=1, context=context)
    told = [line for line in reporter.warnings if "its images have changed since the training on it" in line]
    assert len(told) == 2


def test_an_image_that_changed_ends_a_resumed_run(folder: Path) -> None:
    """An image with other content of the same size is refused by name."""
    with pytest.raises(InterruptedWorkError):
        adapt("stopped", context=api.Context(reporter=RecordingReporter(stop_after_first)))
    path = folder / "images" / "red" / "0.png"
    other = (folder / "images" / "red" / "1.png").read_bytes()
    path.write_bytes(path.read_bytes()[:1] + other[1:])
    with pytest.raises(InputError, match=r"not the images that the run began with: 1 image has changed \(red/0\.png\)"):
        api.resume_adaptation(Path("stopped"))


def test_a_population_decides_what_is_trained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a file of architectures subnets are drawn from their marginals, on resuming too."""
    space = find_space("starter").with_resolutions((32,))
    genotypes = sample_initial(space, 3, np.random.default_rng(0))
    lines = [f"{' '.join(map(str, row))},32,0.5" for row in genotypes.tolist()]
    (folder / "archive.csv").write_text("\n".join(["genotype,resolution,width", *lines]))
    given = []
    train_epoch = ElasticTrainer.train_epoch

    def spy(trainer: ElasticTrainer, number: int, population: np.ndarray | None, **more: object) -> float:
        given.append(population)
        return train_epoch(trainer, number, population, **more)

    monkeypatch.setattr(ElasticTrainer, "train_epoch", spy)
    adapt("some", population=folder / "archive.csv", epochs=1)
    adapt("all", epochs=1)
    assert given[1] is None
    assert np.array_equal(given[0], genotypes)


def test_weights_are_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without packaged weights a file must be given, and nothing is written."""
    monkeypatch.setattr(supernet_weights, "packaged_folder", lambda: folder / "nowhere")
    with pytest.raises(InputError, match="no weights are packaged for supernet starter"):
        adapt("run", weights=None)
    assert not (folder / "run").exists()


def test_memory_that_runs_out_is_said_with_the_batch_to_try(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever way torch says it, one sentence names the step and half of the batch."""
    cpu = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    for error in (torch.OutOfMemoryError("CUDA out of memory"), cpu):

        def fail(*_: object, error: Exception = error) -> float:
            raise error

        monkeypatch.setattr(ElasticTrainer, "_step", fail)
        with pytest.raises(MemoryShortageError, match="in a training step of 8 images of 32 pixels") as told:
            adapt(f"run-{type(error).__name__}")
        assert told.value.hint == "try --batch-size 4"


def test_an_interruption_before_the_first_epoch_says_how_to_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hint is a command that works: it resumes the run that exists by then."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Supernet, "load_weights", interrupted)
        assert cli.run(["adapt", *OPTIONS, "--epochs", "1", "-o", "run"]) == 130
    said = capsys.readouterr().err
    assert "go on with: natdeploy adapt --resume run" in said
    assert "images: 36 images of 3 classes (" in said
    assert cli.run(["adapt", "--resume", "run"]) == 0


def test_other_files_are_refused_before_the_work(folder: Path) -> None:
    """A folder of other files is not made a run."""
    with pytest.raises(InputError, match="images: it holds other files, such as blue"):
        adapt("images")


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`adapt` prints where the weights are; without data or folder it is a usage error."""
    assert cli.run(["adapt", *OPTIONS, "--epochs", "1", "-o", "run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["weights"], document["epochs"]) == (True, "run/supernet.safetensors", 1)
    assert cli.run(["adapt", "--data", "images"]) == 2
    assert "needs --data and --output, or --resume" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_adapt_as_one_does(folder: Path) -> None:
    """Under torchrun one process alone writes and prints, and the losses are those of one process but for BatchNorm."""
    process = torchrun("-m", "natdeploy", "adapt", *OPTIONS, "--epochs", "3", "-o", "two", "--json", cwd=folder)
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    assert document["run"] == "two"
    one, two = (losses(folder / name) for name in (adapt("one", epochs=3, threads=1).run, "two"))
    assert len(two) == 3
    assert two == pytest.approx(one, rel=0.2)
    assert Supernet(find_space("starter").with_resolutions((32,)), 3).load_weights(
        folder / "two" / "supernet.safetensors"
    )
    again = torchrun("-m", "natdeploy", "adapt", "--resume", "two", "--json", cwd=folder)
    assert json.loads(again.stdout)["largest_top1"] == document["largest_top1"]
    refused = torchrun("-m", "natdeploy", "adapt", *OPTIONS, "-o", "two", cwd=folder)
    assert "contains a run already" in refused.stderr


def losses(run: Path) -> list[float]:
    """Return the loss of each epoch of a run."""
    return [event["loss"] for event in Journal(run / "journal.jsonl").events if event["event"] == "epoch"]


def test_memory_that_runs_out_in_the_last_evaluation_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the subnets tested at the end need more memory than there is, the error says so, and what to try."""

    def out_of_memory(*_: object) -> float:
        msg = "[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"
        raise RuntimeError(msg)

    monkeypatch.setattr(SubnetEvaluator, "top1", out_of_memory)
    with pytest.raises(MemoryShortageError, match="out of memory in the evaluation of a subnet at 32 pixels") as told:
        adapt("run", epochs=1)
    assert "--resolutions" in str(told.value.hint)


def test_what_subnets_learn_from_is_an_option(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the options say of distillation and mixing is what the steps are made with, and what the run records."""
    recipes = []

    def stopped(trainer: ElasticTrainer, *_: object, **__: object) -> float:
        recipes.append(trainer.recipe)
        raise KeyboardInterrupt

    monkeypatch.setattr(ElasticTrainer, "train_epoch", stopped)

    given = ["--no-distillation", "--hard-label-weight", "0.5", "--cutmix", "0.25", "--sandwich"]
    assert cli.run(["adapt", *OPTIONS, *given, "-o", "run"]) == 130
    (recipe,) = recipes
    assert (recipe.distillation, recipe.hard_label_weight, recipe.cutmix, recipe.sandwich) == (False, 0.5, 0.25, True)
    assert cli.run(["adapt", "--resume", "run"]) == 130
    assert recipes[1] == recipe
    assert cli.run(["adapt", *OPTIONS, "--cutmix", "2", "-o", "other"]) == 2
    assert not (folder / "other").exists()


def test_images_are_normalized_as_the_weights_were_trained(folder: Path) -> None:
    """Adaptation and search keep mean and std of the weights, and a resumed run does so without the weights' file."""
    task = {"dataset": "d", "classes": ["a", "b"], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    known = {supernet_weights.TASK: json.dumps(task)}
    write_state(folder / "w.safetensors", Supernet(find_space("starter"), 2, seed=3).state_dict(), known)
    weights = supernet_weights.read_task(adapt("run", epochs=1).weights)
    preset = api.find_preset(
        "quick", {"warmup_epochs": 0, "adapt_epochs": 1, "iterations": 1, "candidates": 1, "initial": 6}
    )
    search = {"data": "images", "weights": folder / "w.safetensors", "preset": preset, "output": folder / "search"}
    goal = api.SearchGoal(objectives=("madds",))
    found = api.search(supernet=api.SpaceSelector("starter", (32,)), goal=goal, **search)  # type: ignore[arg-type]
    (folder / "w.safetensors").unlink()
    again = api.resume(found.run)
    subnets = [json.loads(result.choices[0].subnet.read_text())["task"] for result in (found, again)]
    for described in (weights, *subnets):
        assert described is not None
        assert (described["mean"], described["std"]) == (task["mean"], task["std"])
    assert weights is not None
    assert weights["classes"] == ["blue", "green", "red"]
