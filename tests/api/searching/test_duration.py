"""How long a search will take, told before it begins."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from natdeploy import api
from natdeploy.api.searching.duration import (
    Pace,
    count_evaluations,
    estimate_duration_s,
    find_average_subnet,
    format_duration,
    measure_pace,
)
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.presets import PRESETS, choose_preset
from natdeploy.core.cost import madds_array
from natdeploy.core.genotype import encode, sample
from natdeploy.io.datasets import load_task
from natdeploy.io.spaces import find_space
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.supernet import Supernet
from natdeploy.testing.fakes import RecordingReporter
from tests.support.small_search import EFFORT, prepare, small_search

# Seconds of one core of a Xeon: 22 images/s of an average subnet, 15.6 of the largest, 108 forward.
ONE_CORE = Pace(subnet_s=32 / 22, largest_s=32 / 15.6, image_s=1 / 108)


def make_plan(preset: api.Preset, supernet: str = "lite", weights: str = "packaged") -> SearchPlan:
    """Return the plan of a search."""
    space = find_space(supernet)
    return SearchPlan(
        supernet=supernet,
        resolutions=space.resolutions,
        widths=space.widths,
        data="photographs",
        goal=api.SearchGoal(devices=("host",)),
        weights=weights,
        preset=preset,
        seed=0,
        threads=1,
    )


def make_task(train: int, validation: int, test: int = 4) -> Task:
    """Return a task of so many small images."""

    def images(count: int) -> ImageSet:
        return ImageSet(images=torch.zeros(count, 3, 2, 2, dtype=torch.uint8), labels=torch.arange(count) % 2)

    half = (0.5, 0.5, 0.5)
    return Task(
        name="photographs",
        classes=("a", "b"),
        mean=half,
        std=half,
        flip=True,
        train=images(train),
        validation=images(validation),
        test=images(test),
    )


def test_every_evaluation_of_a_search_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count is the one that a search reports at its end, and the estimate is told before its first step."""
    prepare(tmp_path / "home", monkeypatch)
    monkeypatch.chdir(tmp_path)
    preset, reporter = api.find_preset("quick", {**EFFORT, "iterations": 2}), RecordingReporter()
    result = small_search(preset=preset, output=Path("run"), context=api.Context(reporter=reporter))
    assert count_evaluations(preset.search) == result.evaluations
    assert count_evaluations(dataclasses.replace(preset.search, archive=6)) == 6 + 2 * (2 + 6)
    assert sum("this search takes" in said for said in reporter.said) == 1
    api.resume(result.run, context=api.Context(reporter=reporter))
    assert sum("this search takes" in said for said in reporter.said) == 1


def test_a_thousand_photographs_take_less_than_an_hour() -> None:
    """By default, even one core of a processor of today gets through; ten times as many take much longer."""
    space = find_space("lite")
    preset = PRESETS[choose_preset(space)]
    assert preset.name == "photos"
    assert choose_preset(find_space("starter")) == "quick"
    seconds = estimate_duration_s(make_plan(preset), make_task(600, 200), ONE_CORE)
    assert 1200 < sum(seconds) < 3600
    assert sum(estimate_duration_s(make_plan(preset), make_task(6000, 2000), ONE_CORE)) > 5 * sum(seconds)


def test_distillation_and_epochs_of_the_largest_alone_are_counted() -> None:
    """A step costs its subnets, and the largest network where it teaches; from random weights it is alone at first."""
    recipe = dataclasses.replace(PRESETS["quick"].recipe, subnets=2, distillation=True)
    preset = dataclasses.replace(
        PRESETS["quick"], recipe=recipe, warmup_epochs=3, scratch_epochs=4, largest_only_epochs=2, adapt_epochs=1
    )
    pace, task = Pace(subnet_s=1.0, largest_s=10.0, image_s=0.5), make_task(640, 100)
    trained, evaluated = estimate_duration_s(make_plan(preset), task, pace)
    assert trained == (3 + 3) * 20 * (2 * 1.0 + 10.0)
    assert evaluated == 210 * (512 + 100) * 0.5
    scratch, _ = estimate_duration_s(make_plan(preset, weights=""), task, pace)
    assert scratch == 20 * (2 * 10.0 + (2 + 3) * 12.0)


def test_the_average_subnet_costs_what_random_ones_cost() -> None:
    """Its multiply-adds are within five percent of the mean of other random architectures, resolutions included."""
    space = find_space("lite")
    madds = madds_array(space, 1)
    own = madds(encode(space, find_average_subnet(space))[None])[0]
    assert own == pytest.approx(madds(sample(space, 2000, np.random.default_rng(1))).mean(), rel=0.05)


def test_measuring_leaves_the_supernet_as_it_was() -> None:
    """Weights and statistics are those from before, no gradient is left, and every part of the pace is measured."""
    task, plan = load_task("digits", 48), make_plan(PRESETS["quick"], supernet="starter")
    supernet = Supernet(plan.space, len(task.classes))
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    pace = measure_pace(plan, supernet, task, api.SystemClock())
    assert 0 < pace.image_s < pace.subnet_s < 2 * pace.largest_s
    assert all(torch.equal(before[name], tensor) for name, tensor in supernet.state_dict().items())
    assert all(parameter.grad is None for parameter in supernet.parameters())


def test_the_sentence_has_a_fitting_unit() -> None:
    """Seconds are not told, an hour and a half is told in minutes, more in hours; what it consists of is told, too."""
    assert format_duration(10, 20) == "this search takes less than a minute"
    assert "about 40 min: 25 % of it trains" in format_duration(600, 1800)
    assert re.search(r"about 2\.0 hours: 50 %", format_duration(3600, 3600))
