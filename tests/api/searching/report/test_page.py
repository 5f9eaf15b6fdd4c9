"""The page of a report in Chromium: what people click, select, move, copy and read."""

import dataclasses
import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from natdeploy.api import compare_runs
from natdeploy.api.searching.report.page import render_page
from natdeploy.search.objectives import LATENCY
from tests.support.chromium import Browser
from tests.support.reports import (
    BOARD,
    OTHER,
    make_selector,
    make_table,
    read_data,
    record_iterations,
    record_measured,
    write_run,
)
from tests.support.waiting import wait_until


def one_device(path: Path) -> Path:
    """Write a run with everything that a search with training leaves."""
    selector = make_selector(path, {BOARD: make_table(BOARD)}, limits_ms=({BOARD: 1.8}, {BOARD: 2.0}))
    record_iterations(selector)
    record_measured(selector, BOARD, selector.front[::3], 1.03)
    return write_run(selector)


def two_devices(path: Path) -> Path:
    """Write a run for a measured and an estimated device."""
    tables = {BOARD: make_table(BOARD), OTHER: make_table(OTHER, factor=3, provenance="estimated")}
    return write_run(make_selector(path, tables, limits_ms=({BOARD: 1.8, OTHER: 8.0},)))


def large_archive(path: Path) -> Path:
    """Write a run with an archive of three thousand."""
    return write_run(make_selector(path, {BOARD: make_table(BOARD)}, count=3200))


def one_architecture(path: Path) -> Path:
    """Write a run whose archive is one architecture."""
    return write_run(make_selector(path, {BOARD: make_table(BOARD)}, count=1))


def without_device(path: Path) -> Path:
    """Write a run for multiply-adds alone, without weights."""
    return write_run(make_selector(path, {}, objectives=("madds",)), images=None)


def twelve_objectives(path: Path) -> Path:
    """Write a run for the accuracies of eleven tasks and multiply-adds, without weights."""
    tasks = tuple(f"task {number}" for number in range(11))
    named = make_selector(path, {}, objectives=("madds",), tasks=tasks)
    rng = np.random.default_rng(0)
    by_task = {task: np.clip(named.archive.top1 + rng.normal(0, 0.03, len(named.archive)), 0, 1) for task in tasks}
    archive = dataclasses.replace(named.archive, top1=np.mean([*by_task.values()], axis=0), top1_by_task=by_task)
    return write_run(dataclasses.replace(named, archive=archive), images=None)


def text(page: Any, place: str) -> str:
    """Return the text of an element, with single spaces."""
    return re.sub(r"\s+", " ", page.inner_text(place))


KINDS = [
    one_device,
    two_devices,
    one_architecture,
    without_device,
    twelve_objectives,
    pytest.param(large_archive, marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def opened(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Path], Path]], Any]:
    """Return a function that opens a kind of report once."""

    @functools.cache
    def open_report(make: Callable[[Path], Path]) -> Any:
        return chromium.open(make(tmp_path_factory.mktemp("reports") / "a run"))

    return open_report


@pytest.fixture
def page(opened: Callable[[Callable[[Path], Path]], Any], browser: Browser) -> Any:
    """The report of a search with training for one device; the choice is selected."""
    page = opened(one_device)
    page.evaluate("page.select(0, page.run.choices[0].place)")
    return page


@pytest.mark.parametrize("make", KINDS)
def test_every_report_opens(make: Callable[[Path], Path], opened: Callable[..., Any], browser: Browser) -> None:
    """The choice is selected, every chart is drawn, and nothing is wider than the page, from 400 to 2,000 pixels."""
    page = opened(make)
    row = page.evaluate("page.run.architectures.row[page.run.choices[0].place]")
    assert text(page, "#selected h3") == f"Row {row}, a choice"
    assert page.locator("#front-chart .scatterlayer .point").count() >= page.evaluate(
        "page.run.architectures.row.length"
    )
    charts = page.locator(".chart, #objectives-chart")
    assert charts.count() == page.locator(".js-plotly-plot .main-svg:first-child").count()
    for width, scheme in ((400, "dark"), (2000, "light")):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        # Charts are drawn again a moment after the window has changed. Playwright's own waiting needs `eval`, which the
        # page forbids.
        fits = f"innerWidth === {width} && document.documentElement.scrollWidth <= innerWidth"
        assert wait_until(functools.partial(page.evaluate, fits))


def test_a_click_selects_a_network(page: Any) -> None:
    """A click on a point shows its figures, its layers, and the one selected before beside the largest."""
    before = text(page, "#selected h3").removesuffix(", a choice")
    place = page.evaluate("page.run.architectures.front - 1")
    page.evaluate(
        "place => document.getElementById('front-chart').emit('plotly_click', {points: [{customdata: [0, place]}]})",
        place,
    )
    row = page.evaluate("place => page.run.architectures.row[place]", place)
    assert text(page, "#selected h3") == f"Row {row}, on the front"
    names = page.locator(".bars > div").first.locator(".label span").all_inner_texts()
    assert names == [f"selected: row {row}", f"before: {before.lower()}", "largest of the space"]
    assert page.get_attribute(f"tr[data-place='{place}']", "aria-current") == "true"
    assert page.locator("tr[aria-current]").count() == 1


def test_the_mouse_finds_points(opened: Callable[..., Any], browser: Browser) -> None:
    """A real click on the only point of the front selects it again; hovering shows its figures."""
    page = opened(one_architecture)
    box = page.locator("#front-chart .scatterlayer .point").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#front-chart .hovertext")
    assert "top-1 on validation images" in page.text_content("#front-chart .hovertext")
    page.mouse.down()
    page.mouse.up()
    assert text(page, "#selected h3") == "Row 0, a choice"


def test_the_keyboard_moves_along_the_front(page: Any) -> None:
    """The arrow keys select the next quicker and the next slower network, and say so to screen readers."""
    latency = "page.run.architectures.columns['latency:jetson-nano'][page.place]"
    start = page.evaluate(latency)
    page.focus("#front-chart")
    page.keyboard.press("ArrowLeft")
    quicker = page.evaluate(latency)
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(latency) < quicker < start
    page.keyboard.press("ArrowRight")
    assert page.evaluate(latency) == quicker
    assert "Selected: Row" in page.text_content("#announcer")


def test_a_moved_limit_changes_the_choice(page: Any) -> None:
    """A stricter limit shows another network with its differences, an impossible one the nearest, and none the best."""
    assert "which is the choice of the run" in text(page, "#decision")
    page.fill("#limit-0", "1.5")
    page.keyboard.press("Tab")
    decided = page.evaluate("selectNetwork(page.run, {'jetson-nano': 1.5}).place")
    row = page.evaluate("place => page.run.architectures.row[place]", decided)
    assert text(page, "#decision").startswith(f"For 1.5 ms on jetson-nano: row {row}.")
    assert "\u2212" in text(page, "#what-if-answer table")
    page.click("#select-decision")
    assert text(page, "#selected h3") == f"Row {row}, on the front"
    page.fill("#limit-0", "0.1")
    page.keyboard.press("Tab")
    assert "No network of the front keeps 0.1 ms on jetson-nano" in text(page, "#decision")
    page.click("#what-if button:has-text('No limit')")
    assert text(page, "#decision").startswith("Without a latency limit: row")


def test_the_slider_is_a_limit(page: Any) -> None:
    """Moving the slider by keyboard moves the number and the decision."""
    page.focus("#what-if input[type=range]")
    page.keyboard.press("Home")
    assert float(page.input_value("#limit-0")) < 1.8
    assert "No network of the front keeps" in text(page, "#decision")


def test_commands_are_copied(page: Any) -> None:
    """The button copies the command of the selected network: of a choice its file, of others the row to extract."""
    page.click(".command button >> nth=0")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(rf"natdeploy export '/[^']*/a run'/subnet.json --format onnx --device {BOARD}", copied)
    page.click("text=◀ Before it on the front")
    row = page.evaluate("page.run.architectures.row[page.place]")
    page.click(".command button >> nth=0")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(rf"natdeploy extract '/[^']*/a run' --row {row} --output row-{row}.json", copied)
    assert f"natdeploy export row-{row}.json" in text(page, "#selected")


def test_without_weights_the_architecture_is_written_first(opened: Callable[..., Any], browser: Browser) -> None:
    """For a row without a file, the commands write its architecture and extract it with weights that the user names."""
    page = opened(without_device)
    assert "subnet.json --supernet starter --weights WEIGHTS" in text(page, "#selected")
    page.click("text=◀ Before it on the front")
    assert 'echo \'{"w":' in text(page, "#selected")
    assert "no latency can be limited" in text(page, "#what-if")


def measure_bars(page: Any) -> list[float]:
    """Return the visible length of each bar of the first quantity: what its parts add, less what is taken off."""
    length = "part.classList.contains('off') ? -part.offsetWidth : part.getBoundingClientRect().width"
    script = f"bars => bars.map((bar) => [...bar.children].reduce((sum, part) => sum + ({length}), 0))"
    found: list[float] = page.locator(".bars > div:first-child .bar").evaluate_all(script)
    return found


def test_bars_add_up_to_the_total(opened: Callable[..., Any], browser: Browser) -> None:
    """The parts of the bars are as wide as the layers' shares, and the table of layers ends with the totals."""
    page = opened(two_devices)
    column = page.evaluate("page.run.architectures.columns['latency:jetson-nano'][page.place]")
    assert page.locator(".bars > div").count() == 4
    columns = page.evaluate("page.run.largest.columns")
    chosen, largest = measure_bars(page)
    assert chosen / largest == pytest.approx(column / columns["latency:jetson-nano"], rel=0.01)
    page.click("#network summary")
    total = page.locator("#network table tr").last.inner_text().split()
    assert total[0] == "total"
    assert float(total[1]) == pytest.approx(column, rel=5e-3)


def test_what_a_correction_takes_off_is_hatched(tmp_path: Path, browser: Browser) -> None:
    """With a constant below zero, the bars still end at the totals."""
    table = make_table(BOARD)
    lower = dataclasses.replace(table.latency_correction, alpha_ms=-0.3)
    table = dataclasses.replace(table, latency_correction=lower)
    page = browser.open(write_run(make_selector(tmp_path / "run", {BOARD: table})))
    assert page.locator(".bars > div:first-child .off").count() == 2
    chosen, largest = measure_bars(page)
    of_choice = page.evaluate("page.run.architectures.columns['latency:jetson-nano'][page.place]")
    of_largest = page.evaluate("page.run.largest.columns['latency:jetson-nano']")
    assert chosen / largest == pytest.approx(of_choice / of_largest, rel=0.02)


def test_estimates_look_different(opened: Callable[..., Any], browser: Browser) -> None:
    """An estimated latency is marked on its axis, in the figures, its bar, its table and its limit."""
    page = opened(two_devices)
    assert page.locator(".bar.estimated").count() == page.locator(".bar").count() / 4
    assert page.locator(".badge.estimated").all_inner_texts() == ["estimated"] * 3
    figures = text(page, "#selected dl")
    assert re.search(rf"predicted latency on {OTHER}, estimated ~[\d.]+ ms", figures)
    assert re.search(rf"predicted latency on {BOARD} [\d.]+ ms \([\d.]+ to [\d.]+ ms\)", figures)
    page.select_option("#axis-x", LATENCY + OTHER)
    assert "estimated" in page.text_content("#front-chart .xtitle")
    assert page.evaluate("document.getElementById('front-chart').data[0].marker.symbol") == "circle-open"


def test_any_two_quantities_are_axes_and_a_third_is_the_colour(page: Any) -> None:
    """The chart shows what is chosen; the archive and the intervals can be left out."""
    page.select_option("#axis-x", "params")
    page.select_option("#axis-y", "madds")
    page.select_option("#axis-color", "top1")
    chart = "document.getElementById('front-chart')"
    assert page.text_content("#front-chart .xtitle") == "parameters (M)"
    assert page.text_content("#front-chart .ytitle") == "multiply-adds (M)"
    assert page.locator("#front-chart .colorbar").count() == 1
    traces = page.evaluate(f"{chart}.data.length")
    page.uncheck("#show-archive")
    assert page.evaluate(f"{chart}.data.length") == traces - 1
    page.select_option("#axis-x", f"latency:{BOARD}")
    assert page.evaluate(f"Boolean({chart}.data[0].error_x)")
    page.uncheck("#show-whiskers")
    assert not page.evaluate(f"Boolean({chart}.data[0].error_x)")


def test_which_network_is_quickest_above_an_accuracy(page: Any) -> None:
    """The table of architectures is filtered and sorted, and selects."""
    page.check("#table-archive")
    assert page.locator("#architectures-table tbody tr").count() == 60
    page.click("#architectures summary")
    page.fill("#bound-0", "60")
    page.click(f"#architectures-table thead button:has-text('{BOARD}')")
    rows = page.locator("#architectures-table tbody tr").all_inner_texts()
    cells = [line.split("\t") for line in rows]
    assert 0 < len(cells) < 60
    assert all(float(line[4]) >= 60 for line in cells)
    latencies = [float(line[-1]) for line in cells]
    assert latencies == sorted(latencies)
    page.click("#architectures-table tbody button >> nth=0")
    assert text(page, "#selected h3").startswith(f"Row {cells[0][0].split()[0]}")


def test_a_network_stands_in_every_objective(opened: Callable[..., Any], browser: Browser) -> None:
    """Each of twelve objectives has a line, on which the best network is at its end; the card has all accuracies."""
    page = opened(twelve_objectives)
    chart = "document.getElementById('objectives-chart')"
    assert page.evaluate(f"new Set({chart}.data[0].y).size") == 12
    columns = page.evaluate("page.run.architectures.columns['top1:task 3'].slice(0, page.run.architectures.front)")
    best = int(np.argmax(columns))
    page.evaluate("place => page.select(0, place)", best)
    assert page.evaluate(f"{chart}.data[1].x")[3] == 1
    assert f"top-1 task 3, predicted {100 * columns[best]:.2f} %" in text(page, "#selected dl")


def test_evidence_is_told(page: Any) -> None:
    """Measured networks, the predictor, the hypervolume, the counts of images and the errors of the table are shown."""
    told = text(page, "#trust")
    for part in (
        "400 test images",
        "300 validation images",
        "2.10 %",
        "6.30 %",
        "0.970",
        "(error 60.00 %, multiply-adds 20.0 M)",
    ):
        assert part in told
    captions = page.locator("#trust figcaption").all_inner_texts()
    assert captions == [
        f"Predicted and measured latency on {BOARD}",
        "Predicted and evaluated top-1, by iteration",
        "Hypervolume by iteration",
    ]
    assert page.evaluate("document.getElementById('measured-0').data.at(-1).x.length") >= 3


def test_names_stay_text(tmp_path: Path, browser: Browser) -> None:
    """A class called <script>, a data set with a tag and a device with one are shown as they are called."""
    device = "<img src=x onerror=alert(1)>"
    report = one_device(tmp_path / "run")
    hostile = json.loads(json.dumps(read_data(report)).replace(BOARD, device))
    report.write_text(render_page(hostile))
    page = browser.open(report)
    page.click("footer summary")
    assert "<script>alert(1)</script>" in text(page, "footer")
    assert "pets <b>&" in text(page, "#trust")
    assert device.replace(" ", "") in page.text_content("#front-chart .xtitle").replace(" ", "")
    assert device in text(page, "#selected")
    assert page.locator("img").count() == 0


def test_dark_and_light(page: Any) -> None:
    """The page begins with the colours that the reader prefers; the button changes them, and printing is light."""
    ink = "document.getElementById('front-chart').layout.font.color"
    light = page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    assert wait_until(functools.partial(page.evaluate, f"{ink} !== '{light}'"))
    dark = page.evaluate(ink)
    page.click("#theme")
    assert page.evaluate(ink) == light
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.click("#theme")
    assert page.evaluate(ink) == dark
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(ink) == dark


def test_several_runs(tmp_path: Path, browser: Browser) -> None:
    """The fronts of all runs are drawn, their choices are in one table, and each run can be looked at by itself."""
    folders = [
        make(tmp_path / name).parent for name, make in (("a", one_device), ("b", two_devices), ("c", without_device))
    ]
    for folder in folders:
        (folder / "run.toml").write_text('format = "natdeploy.run/1"')
    page = browser.open(compare_runs(folders, output=tmp_path / "both.html").report)
    names = page.evaluate("document.getElementById('front-chart').data.map((trace) => trace.name)")
    assert {f"{folder}: front" for folder in folders} <= set(names)
    assert page.locator("#comparison tbody tr").count() == 4
    title = page.evaluate("document.getElementById('front-chart').layout.yaxis.title.text")
    assert title.replace("<br>", " ") == "top-1 on validation images or top-1 predicted (%)"
    sources = page.locator("#comparison tbody tr td:nth-child(6)").all_inner_texts()
    assert [source.split("%")[1].strip() for source in sources] == ["on validation images"] * 3 + ["predicted"]
    page.select_option("#run", "1")
    assert text(page, "#selected .note").startswith(str(folders[1]))
    assert page.locator("#what-if input[type=range]").count() == 2
    assert str(folders[0]) in text(page, ".bars > div >> nth=0")
    page.select_option("#axis-x", LATENCY + OTHER)
    assert text(page, "#front-missing").endswith(f"both quantities: {folders[0]}, {folders[2]}.")
    page.click("#comparison tbody button >> nth=0")
    assert page.evaluate("[page.runIndex, page.place]") == [0, page.evaluate("page.document.runs[0].choices[0].place")]
