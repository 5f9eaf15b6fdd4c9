"""Values with units on the command line."""

from pathlib import Path

import click
import pytest

from natdeploy.cli import run
from natdeploy.cli.units import (
    parse_accuracies,
    parse_budget_s,
    parse_count,
    parse_duration_ms,
    parse_latency_limits,
    parse_names,
    parse_resolutions,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [("20ms", 20), ("0.5s", 500), ("800us", 0.8), ("800µs", 0.8), ("5000ns", 0.005), (".5ms", 0.5), (" 7ms ", 7)],
)
def test_durations_have_units(text, expected_ms):
    """Each unit is turned into milliseconds."""
    assert parse_duration_ms(text) == pytest.approx(expected_ms, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("20", "'20' has no unit: write 20ms"),
        ("1.5", "'1.5' has no unit: write 1.5ms"),
        ("0ms", "'0ms' is not positive"),
        ("0.0s", "'0.0s' is not positive"),
        ("-5ms", "'-5ms' is not a duration"),
        ("soon", "'soon' is not a duration such as 20ms, 0.5s or 800us"),
        ("nan", "is not a duration"),
        ("nanms", "is not a duration"),
        ("inf", "is not a duration"),
        ("infms", "is not a duration"),
        ("1e3ms", "is not a duration"),
        ("20 ms", "is not a duration"),
        ("20MS", "is not a duration"),
        ("5.ms", "is not a duration"),
        ("20min", "is not a duration"),
        ("", "is not a duration"),
        ("ms", "is not a duration"),
        ("9" * 400 + "ms", "is too long"),
        ("0." + "0" * 400 + "1ms", "is not positive"),
    ],
)
def test_other_durations_are_refused(text, reason):
    """What is no duration, has no unit or is not positive is refused with what was given."""
    with pytest.raises(click.BadParameter) as caught:
        parse_duration_ms(text)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("values", "devices", "expected"),
    [
        ((), ("host",), ()),
        (("15ms",), ("host",), ({"host": 15.0},)),
        (("15ms,20ms",), ("host",), ({"host": 15.0}, {"host": 20.0})),
        (("15ms", "1s"), ("board",), ({"board": 15.0}, {"board": 1000.0})),
        (("board=15ms",), ("host",), ({"board": 15.0},)),
        (("board=15ms", "host=20ms"), ("host", "board"), ({"board": 15.0, "host": 20.0},)),
    ],
)
def test_targets(values, devices, expected):
    """Without a device each duration is a choice of its own; with devices all must hold for one choice."""
    assert parse_latency_limits(values, devices) == expected


@pytest.mark.parametrize(
    ("values", "devices", "reason"),
    [
        (("15ms", "board=20ms"), ("host",), "'15ms' has no device"),
        (("15ms",), ("host", "board"), "write host=15ms"),
        (("board=1ms", "board=2ms"), ("host",), "two targets for device 'board'"),
        (("board=20",), ("host",), "has no unit"),
        (("board=",), ("host",), "is not a duration"),
        (("board=15ms,20ms",), ("host",), "is not a duration"),
        (("15ms,",), ("host",), "is not a duration"),
        (("0,25ms",), ("host",), "the decimal separator is a point, as in 0.25ms"),
        (("board=0,25ms",), ("host",), "the decimal separator is a point, as in 0.25ms"),
        (("=0.2ms",), ("host",), "'=0.2ms' names no device: write DEVICE=0.2ms"),
    ],
)
def test_other_targets_are_refused(values, devices, reason):
    """A target that is not valid or does not say what it is for is refused with the reason."""
    with pytest.raises(click.BadParameter) as caught:
        parse_latency_limits(values, devices)
    assert reason in caught.value.message


def test_names():
    """A list of names is read in its order, spaces aside; an empty entry is refused."""
    assert parse_names("top1, madds") == ("top1", "madds")
    assert parse_names(None) == ()
    for text in ("", ",", "top1,", "madds,,top1"):
        with pytest.raises(click.BadParameter, match="empty entry"):
            parse_names(text)


def test_resolutions():
    """A list of whole numbers is read in its order, with spaces or without; no list stays none."""
    assert parse_resolutions("160,192, 224") == (160, 192, 224)
    assert parse_resolutions(None) is None


@pytest.mark.parametrize("text", ["", "160,", "31", "0", "-32", "48.0", "1e2", "big", "160;192", "²²²", "٣٢"])
def test_other_resolutions_are_refused(text):
    """Anything but whole numbers of at least 32 is refused with an example."""
    with pytest.raises(click.BadParameter, match="such as 160,192,224"):
        parse_resolutions(text)


def test_budgets_are_spans_of_time_with_units():
    """Seconds, minutes and hours; a bare number, zero and anything else are refused."""
    assert [parse_budget_s(text) for text in ("90s", "2m", "1.5h", " 3m ")] == [90, 120, 5400, 180]
    for wrong in ("90", "0s", "-2m", "soon", "2d", "m", ""):
        with pytest.raises(click.BadParameter, match="not a span of time"):
            parse_budget_s(wrong)


@pytest.mark.parametrize(("text", "value"), [("600M", 6e8), ("4.5M", 4.5e6), ("800k", 8e5), ("1.2G", 1.2e9), ("7", 7)])
def test_counts_have_a_unit_or_none(text, value):
    """A count is a number with k, M or G behind it, or alone."""
    assert parse_count(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "M", "-5M", "0", "5m", "5 M B", "1e6"])
def test_what_is_no_count_is_refused(text):
    """Anything else is refused with examples."""
    with pytest.raises(click.BadParameter, match="such as 600M"):
        parse_count(text)


@pytest.mark.parametrize(
    ("text", "value"), [("5MB", 5e6), ("1.5 MB", 1.5e6), ("800kB", 8e5), ("2GB", 2e9), ("4MiB", 4 * 2**20)]
)
def test_sizes(text, value):
    """A size is a number with its unit; a MB is a million bytes, a MiB 2 to the 20th."""
    assert parse_size(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "5M", "0MB", "-5MB", "5mb", "much", "1e2MB"])
def test_other_sizes_are_refused(text):
    """What is no size, has no unit or is not positive is refused by what it is."""
    with pytest.raises(click.BadParameter, match="is not a size such as 5MB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), None),
        (("a.csv",), Path("a.csv")),
        (("runs/a=b/a.csv",), Path("runs/a=b/a.csv")),
        (("pets=a.csv",), {"pets": Path("a.csv")}),
        (("pets=a.csv", "cifar-10=b=c.csv"), {"pets": Path("a.csv"), "cifar-10": Path("b=c.csv")}),
    ],
)
def test_accuracies(values, expected):
    """A file alone, or a file for each task by its name; a path before an equals sign is no name."""
    assert parse_accuracies(values) == expected


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (("a.csv", "b.csv"), "'a.csv' has no task"),
        (("pets=a.csv", "b.csv"), "'b.csv' has no task"),
        (("pets=a.csv", "pets=b.csv"), "'pets=b.csv' is a second file"),
    ],
)
def test_accuracies_of_several_tasks_are_named(values, reason):
    """Of several files each says its task, and no task is named twice."""
    with pytest.raises(click.BadParameter, match=reason):
        parse_accuracies(values)


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("search", "--target-latency", "20"),
        ("search", "--max-madds", "600 MMac"),
        ("search", "--max-size", "5mb"),
        ("search", "--resolutions", "224px"),
        ("search", "--objectives", "top1,,madds"),
        ("profile", "--budget", "90"),
        ("extract subnet.json", "--target-latency", "fast"),
        ("export subnet.json", "--batch", "many"),
    ],
)
def test_a_value_that_is_not_valid_names_its_option(capsys, command, option, value):
    """Of several options, the message names the one that is meant."""
    assert run([*command.split(), option, value]) == 2
    assert f"Invalid value for '{option}': '" in capsys.readouterr().err
