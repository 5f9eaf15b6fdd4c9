"""The choice in the page is the choice of the search."""

import dataclasses
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from natdeploy.api.searching.selection import Selector
from natdeploy.errors import TargetUnreachableError
from tests.support.chromium import Browser
from tests.support.reports import BOARD, OTHER, make_selector, make_table, read_data, record_measured, write_run

PREFERENCES = ("accuracy", "trade-off", f"top1=1,latency:{BOARD}=2")
SCRIPT = resources.files("natdeploy.api.searching.report") / "page" / "selection.js"


@pytest.fixture(scope="module")
def select_in_page(chromium: Browser) -> Callable[[Selector, list[dict[str, float]]], list[dict[str, Any]]]:
    """Return a function that selects by the script of the page, with the data of a selector's report."""
    page = chromium.browser.new_page()
    page.add_script_tag(content=SCRIPT.read_text())

    def select_all(selector: Selector, limits: list[dict[str, float]]) -> list[dict[str, Any]]:
        (run,) = read_data(write_run(selector))["runs"]
        found = page.evaluate("([run, limits]) => limits.map((own) => selectNetwork(run, own))", [run, limits])
        rows = run["architectures"]["row"]
        return [{**own, "row": None if own["place"] is None else rows[own["place"]]} for own in found]

    return select_all


def select(selector: Selector, limits_ms: Mapping[str, float]) -> int | None:
    """Return the row that the search selects; None if it finds none."""
    try:
        return selector.select(limits_ms)[0]
    except TargetUnreachableError:
        return None


def draw_limits(selector: Selector, rng: np.random.Generator) -> list[dict[str, float]]:
    """Return limits on no, one or both devices: around what the networks of the front take, and one that none keeps."""
    latency = {device: selector.candidates(selector.front).upper_ms[device] for device in selector.problem.tables}
    drawn: list[dict[str, float]] = [{}, {BOARD: 0.5 * float(latency[BOARD].min())}]
    for _ in range(20):
        devices = [device for device in latency if rng.random() < 0.7]
        drawn.append({device: float(rng.choice(latency[device]) * rng.uniform(0.9, 1.1)) for device in devices})
    return drawn


@pytest.mark.parametrize(
    ("prefer", "factor"), [("accuracy", None), ("accuracy", 0.85), *((prefer, 1.2) for prefer in PREFERENCES)]
)
def test_the_page_selects_what_the_search_selects(
    prefer: str, factor: float | None, tmp_path: Path, select_in_page: Callable[..., list[dict[str, Any]]]
) -> None:
    """For twenty limits on two devices, with and without measured networks, by every kind of preference."""
    tables = {BOARD: make_table(BOARD), OTHER: make_table(OTHER, factor=3, provenance="estimated")}
    selector = make_selector(tmp_path / "run", tables, count=200, prefer=prefer)
    rng = np.random.default_rng(3)
    if factor is not None:
        for place in rng.choice(selector.front, len(selector.front) // 2, replace=False):
            record_measured(selector, BOARD, [place], factor * rng.uniform(0.95, 1.05))
    limits = draw_limits(selector, rng)
    expected = [select(selector, own) for own in limits]
    assert expected == [found["row"] for found in select_in_page(selector, limits)]
    assert len({None, *expected}) >= 3


def test_limits_on_size_hold_in_the_page(tmp_path: Path, select_in_page: Callable[..., list[dict[str, Any]]]) -> None:
    """What a run limits besides the latency is limited in the page, too."""
    free = make_selector(tmp_path / "run", {BOARD: make_table(BOARD)}, count=200)
    most = float(np.median(free.problem.costs["params"](free.archive.genotypes)))
    goal = dataclasses.replace(free.problem.goal, limits={"params": most})
    selector = dataclasses.replace(free, problem=dataclasses.replace(free.problem, goal=goal))
    limits = draw_limits(selector, np.random.default_rng(4))
    expected = [select(selector, own) for own in limits]
    assert expected == [found["row"] for found in select_in_page(selector, limits)]
    assert expected[0] != select(free, {})


def test_where_every_network_is_too_slow(tmp_path: Path, select_in_page: Callable[..., list[dict[str, Any]]]) -> None:
    """If all that were measured miss the limit, neither the search nor the page selects one."""
    selector = make_selector(tmp_path / "run", {BOARD: make_table(BOARD)})
    record_measured(selector, BOARD, selector.front, 4.0)
    limit_ms = float(selector.candidates(selector.front).upper_ms[BOARD].min()) * 1.1
    assert select(selector, {BOARD: limit_ms}) is None
    (found,) = select_in_page(selector, [{BOARD: limit_ms}])
    assert found["place"] is None
    assert found["excess"] > 1
