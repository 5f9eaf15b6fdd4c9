"""The data of a report: columns, layers that add up, intervals, evidence and commands."""

import dataclasses
import shlex
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from natdeploy.api.searching.report.evidence import wilson_interval
from natdeploy.api.searching.report.page import FORMAT, render_page
from natdeploy.api.searching.selection import Selector
from natdeploy.cli.group import COMMANDS
from tests.support.reports import (
    BOARD,
    IMAGES,
    OTHER,
    make_selector,
    make_table,
    parse_page,
    read_data,
    record_iterations,
    record_measured,
    write_run,
)


@pytest.fixture
def selector(tmp_path: Path) -> Selector:
    """A selector for a measured and an estimated device, with two limits."""
    tables = {BOARD: make_table(BOARD), OTHER: make_table(OTHER, factor=3, provenance="estimated")}
    return make_selector(tmp_path / "run", tables, limits_ms=({BOARD: 1.8}, {BOARD: 2.2, OTHER: 6.0}))


def test_columns_are_those_of_the_archive(selector: Selector) -> None:
    """The front comes first; each column has the values of the archive's rows, and choices refer to their places."""
    document = read_data(write_run(selector))
    assert document["format"] == FORMAT
    (run,) = document["runs"]
    known = run["architectures"]
    rows, costs = known["row"], selector.problem.costs
    assert rows[: known["front"]] == selector.front.tolist()
    assert sorted(rows) == list(range(len(selector.archive)))
    assert known["columns"]["top1"] == selector.archive.top1[rows].tolist()
    for name in ("madds", "params", "size", f"latency:{BOARD}", f"latency:{OTHER}"):
        assert known["columns"][name] == costs[name](selector.archive.genotypes[rows]).tolist()
    assert {axis["column"] for axis in run["axes"]} == set(known["columns"])
    assert known["regret"] == selector.regret.tolist()
    for choice, limits_ms in zip(run["choices"], selector.problem.goal.selections, strict=True):
        assert rows[choice["place"]] == selector.select(limits_ms)[0]
        assert choice["target_ms"] == limits_ms


def test_layers_add_up_to_the_costs_of_a_network(selector: Selector) -> None:
    """Latency on each device, multiply-adds and parameters are the sums over the layers, and the table's constant."""
    (run,) = read_data(write_run(selector))["runs"]
    known, layers = run["architectures"], run["layers"]
    networks = [*zip(known["layers"], range(len(known["row"])), strict=True)]
    for indices, place in networks:
        for name in ("madds", "params"):
            assert sum(layers[index][name] for index in indices) == known["columns"][name][place]
        for device in (BOARD, OTHER):
            summed = sum(layers[index]["latency_ms"][device] for index in indices) + run["constants_ms"][device]
            assert summed == pytest.approx(known["columns"][f"latency:{device}"][place])
    assert run["constants_ms"] == {BOARD: 0.4, OTHER: 0.0}
    largest = run["largest"]
    assert sum(layers[index]["params"] for index in largest["layers"]) == largest["columns"]["params"]
    assert largest["columns"]["params"] >= max(known["columns"]["params"])


def test_a_network_has_the_layers_of_its_stages(selector: Selector) -> None:
    """Stem and fixed block, the blocks of each stage, and the tail: as many as the depths say."""
    (run,) = read_data(write_run(selector))["runs"]
    known = run["architectures"]
    for shape, indices in zip(known["architecture"], known["layers"], strict=True):
        layers = [run["layers"][index] for index in indices]
        assert [layer["op"] for layer in layers[: 2 + sum(shape["d"])]] == ["stem", *["block"] * (1 + sum(shape["d"]))]
        assert [layer["kernel"] for layer in layers[2 : 2 + sum(shape["d"])]] == shape["ks"]
        assert layers[-1]["op"] == "classifier"
        assert layers[-1]["out_channels"] == run["classes"]


def test_intervals_of_counted_shares() -> None:
    """They are Wilson's, as scipy computes them, at the ends too."""
    for hits in (0, 1, 57, 99, 100):
        expected = stats.binomtest(hits, 100).proportion_ci(method="wilson")
        lower, upper = wilson_interval(np.array(hits / 100), 100)
        assert (lower, upper) == pytest.approx((expected.low, expected.high))


def test_what_was_measured_stands_beside_its_prediction(selector: Selector) -> None:
    """Each measured network is there with its levelled latency; a later measurement replaces an earlier one."""
    places = selector.front[[0, 2]]
    record_measured(selector, BOARD, places, 1.5)
    record_measured(selector, BOARD, places[:1], 1.1)
    selector.run.record("measured", {"device": "elsewhere", "genotype": [0], "median_ms": 1.0})
    (run,) = read_data(write_run(selector))["runs"]
    found = {run["architectures"]["row"][event["place"]]: event for event in run["measured"]}
    assert list(found) == places.tolist()
    for place, factor in zip(places, (1.1, 1.5), strict=True):
        predicted = selector.cost(f"latency:{BOARD}", place)
        assert found[place]["ms"] == pytest.approx(factor * predicted)
        assert found[place]["raw_ms"] == pytest.approx(factor * predicted / 0.8)


def test_the_course_of_the_search(selector: Selector) -> None:
    """Candidates have predicted and evaluated top-1, those that failed are left out, and the hypervolume rises."""
    record_iterations(selector, 2)
    lost = {"iteration": 3, "genotypes": [[9] * 3], "predicted": [0.5]}
    selector.run.record("proposed", lost)
    (run,) = read_data(write_run(selector))["runs"]
    assert [part["iteration"] for part in run["predictions"]] == [1, 2]
    assert all(len(part["predicted"]) == len(part["evaluated"]) == 8 for part in run["predictions"])
    assert [event["hypervolume"] for event in run["progress"]] == [0.6, 0.7]
    assert run["reference"] == {"error": 0.6, "madds": 2e7}


def test_provenance_and_counts(selector: Selector) -> None:
    """Every table has its provenance, every measured accuracy its interval and the number of its images."""
    (run,) = read_data(write_run(selector))["runs"]
    assert [(table["device"], table["provenance"], table["estimated"]) for table in run["tables"]] == [
        (BOARD, "measured", False),
        (OTHER, "estimated", True),
    ]
    assert [axis["estimated"] for axis in run["axes"] if axis["device"] == OTHER] == [True]
    assert run["images"] == {**dataclasses.asdict(IMAGES), "classes": list(IMAGES.classes)}
    choice = run["choices"][0]
    lower, upper = wilson_interval(np.array(choice["top1"]), IMAGES.test)
    assert choice["top1_interval"] == [lower, upper]
    assert len(run["top1_interval"]["lower"]) == len(run["architectures"]["row"])


def test_commands_are_commands(tmp_path: Path) -> None:
    """Each command that the page offers is natdeploy's, also for a folder with a space in its name."""
    selector = make_selector(tmp_path / "a run", {BOARD: make_table(BOARD)})
    (run,) = read_data(write_run(selector))["runs"]
    offered = run["commands"]
    assert shlex.split(offered["run"]) == shlex.split(offered["weights"]) == [str(tmp_path / "a run")]
    for command in (offered["extract"], *(known["command"] for known in offered["files"])):
        words = shlex.split(command)
        assert words[0] == "natdeploy"
        assert words[1] in COMMANDS
    assert offered["rows"] == list(range(len(selector.archive)))


def test_without_weights_the_user_names_them(tmp_path: Path) -> None:
    """A search without training offers to extract with weights of the user's, and has no interval of accuracies."""
    selector = make_selector(tmp_path / "run", {BOARD: make_table(BOARD)})
    (run,) = read_data(write_run(selector, images=None))["runs"]
    assert run["commands"]["rows"] is None
    assert "--supernet starter --weights WEIGHTS" in run["commands"]["extract"]
    assert run["top1_interval"] is None
    assert run["images"] is None


def test_a_preference_that_does_not_tell_networks_apart(tmp_path: Path) -> None:
    """A front of one network has no trade-off; the page gets a finite number in its place."""
    selector = make_selector(tmp_path / "run", {BOARD: make_table(BOARD)}, count=1, prefer="trade-off")
    (run,) = read_data(write_run(selector))["runs"]
    assert np.isfinite(run["architectures"]["regret"]).all()
    assert run["choices"][0]["place"] == 0


def test_no_name_ends_the_data() -> None:
    """Whatever a name holds, the data are read back as they were, and no markup of theirs is in the page."""
    run = {"title": "</script><script>alert(1)</script>", "note": "<!--<script>\u2028"}
    page = render_page({"format": FORMAT, "natdeploy": "0", "runs": [run]})
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<title>&lt;/script&gt;" in page
    assert parse_page(page)["runs"] == [run]


def test_a_number_that_is_not_defined_is_none() -> None:
    """A correlation of equal values does not keep a search from its report."""
    run = {"title": "A run", "progress": [{"kendall": float("nan"), "rmse": 0.5}], "bounds": (float("inf"), 1)}
    page = render_page({"format": FORMAT, "natdeploy": "0", "runs": [run]})
    (found,) = parse_page(page)["runs"]
    assert found == {"title": "A run", "progress": [{"kendall": None, "rmse": 0.5}], "bounds": [None, 1]}


def test_the_page_is_small(selector: Selector) -> None:
    """The page is under five megabytes, with the charting library in it."""
    assert write_run(selector).stat().st_size < 5e6
