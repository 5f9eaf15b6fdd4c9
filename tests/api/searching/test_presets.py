"""Presets of a search."""

import dataclasses
from typing import Any

import pytest

from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.presets import PRESETS, find_preset
from natdeploy.cli import run
from natdeploy.errors import InputError
from natdeploy.search.problem import SearchGoal

PUBLISHED = {
    "paper": {
        "initial": 100, "archive": 300, "iterations": 30, "candidates": 100, "predictor": "rbf", "ensemble_size": 500,
        "predictor_train_size": 100, "algorithm": "nsga3", "population": 100, "generations": 100, "start": "archive",
        "crossover": "uniform", "crossover_rate": 0.9, "mutation": "polynomial", "mutation_rate": 0.1,
        "adaptation_parents": 300, "adapt_epochs": 5, "lr": 0.01, "weight_decay": 4e-5, "lr_warmup_epochs": 0,
        "batch_size": 96, "distillation": False, "subnets": 1, "local_searches": 0,
    },
    "released": {
        "initial": 100, "archive": 0, "iterations": 30, "candidates": 8, "predictor": "trees",
        "predictor_train_size": 0,
        "algorithm": "auto", "population": 100, "generations": 20, "start": "latin", "crossover": "two-point",
        "crossover_rate": 0.9, "mutation": "polynomial", "mutation_rate": 0,
        "adaptation_parents": 150, "adapt_epochs": 5,
        "lr": 2.5e-3, "weight_decay": 3e-4, "lr_warmup_epochs": 5, "batch_size": 96, "distillation": True,
        "subnets": 4, "local_searches": 0, "cutmix": 0.5, "hard_label_weight": 1.0,
    },
}  # fmt: skip


def flatten(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a nested dictionary by their own names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flatten(value) if isinstance(value, dict) else {name: value}
    return found


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_settings_are_kept(name: str) -> None:
    """The two presets that are named after published settings hold the values that were published."""
    preset = flatten(dataclasses.asdict(PRESETS[name]))
    assert {key: preset[key] for key in PUBLISHED[name]} == PUBLISHED[name]


def test_values_can_be_replaced() -> None:
    """Single values replace those of a preset; epochs of the warm-up are meant whatever the weights are."""
    assert find_preset("paper", {}) == PRESETS["paper"]
    changed = find_preset("paper", {"iterations": 2, "warmup_epochs": 1, "lr": 0.3, "mutation": "uniform"})
    assert (changed.search.iterations, changed.warmup_epochs, changed.scratch_epochs) == (2, 1, 1)
    assert (changed.recipe.lr, changed.search.evolution.mutation) == (0.3, "uniform")
    assert changed.search.evolution.population == PRESETS["paper"].search.evolution.population


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start": "latn"}, "did you mean 'latin'"),
        ({"algorithm": "nsga4"}, "unknown algorithm"),
        ({"lr": 0.0}, "lr is 0.0: it must be above 0"),
        ({"lr": float("nan")}, "lr is nan: it must be a finite number, above 0"),
        ({"archive": -1}, "archive is -1: it must be at least 0"),
        ({"cutmix": 1.5}, "cutmix is 1.5: it must be at least 0 and at most 1"),
        ({"cutmix": float("nan")}, "cutmix is nan"),
        ({"crossover_rate": 1.5}, "crossover-rate is 1.5"),
        ({"candidates": 0}, "candidates is 0: it must be at least 1"),
        ({"candidates": 1.5}, "candidates is 1.5: it must be a whole number"),
        ({"ema_decay": 0.9}, "a search evaluates the weights that it trains"),
        ({"learning_rate": 0.1}, "unknown value of a preset 'learning_rate'"),
        ({"recipe": None}, "unknown value of a preset 'recipe'"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, object], reason: str) -> None:
    """What no search can be made with is refused by its name."""
    with pytest.raises(InputError) as refused:
        find_preset("quick", changes)
    assert reason in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_read_back_from_a_run(name: str) -> None:
    """What a run folder holds of a preset is the preset again."""
    plan = SearchPlan(
        supernet="starter",
        resolutions=(32,),
        widths=(1.0,),
        data="digits",
        goal=SearchGoal(devices=("host",), latency_limits_ms=({"host": 20.0}, {"host": 30.0}), limits={"madds": 4e8}),
        weights="",
        preset=PRESETS[name],
        seed=0,
        threads=1,
    )
    assert SearchPlan.from_config(plan.to_config(), "run.toml") == plan


def test_a_run_of_an_earlier_version_is_refused() -> None:
    """Settings that are not nested, as they once were, are refused in one sentence that says what to do."""
    plan = {"supernet": "starter", "preset": "quick", "seed": 0, "threads": 1}
    with pytest.raises(InputError, match=r"run.toml: not the settings of a search: ") as refused:
        SearchPlan.from_config({"search": plan, "goal": {}, "preset": {"warmup_epochs": 8, "batch": 32}}, "run.toml")
    assert "runs of an earlier natdeploy cannot be resumed: start a new one" in str(refused.value.hint)


def test_help_lists_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    """The command's help names every preset."""
    assert run(["search", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split()).partition("--preset")[2]
    assert all(name in told for name in PRESETS)
