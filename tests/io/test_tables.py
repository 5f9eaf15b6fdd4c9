"""Latency tables as files: what is written is read again, and a bad file is refused by line and reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from natdeploy.core.device import Deployment, TableSelector
from natdeploy.core.latency import LatencyCorrection, LatencyStats, LatencyTable, Validation
from natdeploy.core.layers import Layer
from natdeploy.errors import InputError, OutputError
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.io.table_store import choose_table, find_table, list_tables, table_path
from natdeploy.io.tables import COLUMNS, format_table, parse_table, read_table, scan_table, write_table

DEPLOYMENT = Deployment(device="host", runtime="onnxruntime", precision="fp32", batch=1, threads=1)
STEM = Layer(op="stem", in_size=32, in_channels=3, out_channels=8, kernel=3, stride=2, activation="h_swish")
BLOCK = Layer(
    op="block",
    in_size=16,
    in_channels=8,
    out_channels=8,
    mid_channels=24,
    kernel=5,
    se=True,
    activation="relu",
    skip=True,
)


def stats(median_ms: float) -> LatencyStats:
    """Return statistics around a median."""
    return LatencyStats(
        median_ms=median_ms, p10_ms=0.9 * median_ms, p90_ms=1.3 * median_ms, mean_ms=median_ms, std_ms=0.001, runs=7
    )


@pytest.fixture
def table() -> LatencyTable:
    """Return a table that uses every field."""
    return LatencyTable(
        deployment=DEPLOYMENT,
        provenance="measured",
        method="in-context",
        rows={BLOCK: stats(0.25), STEM: stats(0.0123456)},
        runtime_version="1.2.3",
        fingerprint="chip: #1; 2 cores",
        created="2026-01-02T03:04:05+00:00",
        conditions={"load_average": 0.5, "timing": {"rounds": 3}, "chip": "chip: #1"},
        validation=Validation(
            networks=20,
            mape_percent=1.5,
            max_error_percent=4.0,
            within_5_percent=1.0,
            spearman_rho=0.99,
            kendall_tau=0.97,
        ),
        random_validation=Validation(
            networks=10,
            mape_percent=2.5,
            max_error_percent=4.0,
            within_5_percent=1.0,
            spearman_rho=0.98,
            kendall_tau=0.9,
        ),
        latency_correction=LatencyCorrection(lower_ratio=0.97, upper_ratio=1.04, coverage=0.9, networks=20),
        folded=("pooling",),
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Give the user an empty home folder."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    return tmp_path


def refused(text: str) -> str:
    """Return the message with which a text is refused, which must name the source."""
    with pytest.raises(InputError) as caught:
        parse_table(text, "some.csv")
    assert caught.value.message.startswith("some.csv")
    return caught.value.message


def line_of(text: str, start: str) -> int:
    """Return the number of the line that begins with `start`."""
    return 1 + next(number for number, line in enumerate(text.splitlines()) if line.startswith(start))


def test_a_table_is_read_as_it_was_written(tmp_path, table):
    """Every header field and every row survives the file."""
    path = tmp_path / "deep" / "table.csv"
    write_table(path, table)
    assert read_table(path) == table


def test_a_table_without_optional_fields_survives_too(table):
    """An estimate has no version, fingerprint, validation or calibration."""
    bare = dataclasses.replace(
        table,
        provenance="estimated",
        runtime_version=None,
        fingerprint=None,
        conditions={},
        validation=None,
        latency_correction=None,
    )
    assert parse_table(format_table(bare), "some.csv") == bare


def test_pandas_reads_the_rows(tmp_path, table):
    """The header looks like comments to pandas."""
    path = tmp_path / "table.csv"
    write_table(path, table)
    frame = pd.read_csv(path, comment="#")
    assert list(frame.columns) == list(COLUMNS)
    assert frame["median_ms"].tolist() == [0.0123456, 0.25]
    assert frame["se"].tolist() == [False, True]


def test_properties_of_other_spaces_are_columns_where_a_row_needs_them(table):
    """Padding, units of EfficientNet and biases are kept; a table without them has the columns that it always had."""
    assert format_table(table).splitlines()[-3] == ",".join(COLUMNS)
    rows = {
        **table.rows,
        dataclasses.replace(STEM, padding="same"): stats(1.0),
        dataclasses.replace(BLOCK, squeeze_channels=4): stats(2.0),
        Layer(op="feature_mix", in_size=1, in_channels=8, out_channels=16, bias=True): stats(3.0),
    }
    text = format_table(dataclasses.replace(table, rows=rows))
    assert text.splitlines()[-6] == ",".join((*COLUMNS, "padding", "squeeze_channels", "bias"))
    assert parse_table(text, "some.csv").rows == rows
    with pytest.raises(InputError, match=r"padding 'valid' \(known: symmetric, same\)"):
        parse_table(text.replace(",same,", ",valid,"), "some.csv")


def test_epsilon_is_no_property_of_a_row(table):
    """A layer finds its row whatever the epsilon of its BatchNorm."""
    assert table.layer_ms(dataclasses.replace(BLOCK, bn_eps=1e-3)) == table.layer_ms(BLOCK)
    assert "bn_eps" not in format_table(table)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "latency_tables").glob("*/*.csv")), ids=str)
def test_packaged_tables_are_written_as_they_are(path):
    """A table from before these columns is written again byte by byte."""
    assert format_table(read_table(path)) == path.read_text()


def test_a_table_that_a_spreadsheet_saved_is_read(table, tmp_path):
    """Byte-order mark, Windows line ends, upper-case flags and another order of columns do not matter."""
    head, columns, *rows = format_table(table).partition("op,")[0], *format_table(table).splitlines()[-3:]
    order = list(reversed(range(len(COLUMNS))))
    moved = [",".join(line.split(",")[place] for place in order) for line in (columns, *rows)]
    text = "\ufeff" + head.replace("\n", "\r\n") + "\r\n".join(moved).replace("true", "TRUE").replace("false", "FALSE")
    (tmp_path / "some.csv").write_text(text, encoding="utf-8", newline="")
    assert read_table(tmp_path / "some.csv") == table


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("-0.25", "median_ms is -0.25"),
        ("nan", "median_ms is nan"),
        ("inf", "median_ms is inf"),
        ("0.0", "median_ms is 0"),
        ("fast", "median_ms is 'fast', not a number"),
        ("", "median_ms is '', not a number"),
    ],
)
def test_a_figure_that_is_no_latency_is_refused_by_line(table, value, reason):
    """Negative, zero, missing and non-numeric latencies are named with their line."""
    text = format_table(table)
    line = line_of(text, "block,")
    message = refused(text.replace(",0.25,0.225,", f",{value},0.225,"))
    assert f"line {line}: {reason}" in message


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("block,16", "blocks,16", "unknown op 'blocks'"),
        ("block,16", "block,sixteen", "in_size is 'sixteen', not a whole number"),
        ("block,16", "block,0", "in_size is '0', not a whole number from 1 on"),
        ("true,relu", "yes,relu", "se is 'yes', not true or false"),
        ("true,relu", "true,gelu", "unknown activation 'gelu'"),
        ("block,16,8,8", "block,16,8", "15 columns instead of 16"),
    ],
)
def test_a_bad_cell_is_refused_by_line(table, old, new, reason):
    """Every column is checked, and a row must be whole."""
    text = format_table(table)
    message = refused(text.replace(old, new))
    assert f"line {line_of(text, 'block,')}: {reason}" in message


def test_a_repeated_row_is_refused(table):
    """Two figures for one layer are one too many."""
    text = format_table(table)
    assert "this layer already has a row" in refused(text + text.splitlines()[-1] + "\n")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("latency-table/1", "latency-table/9", "unknown format version 'natdeploy.latency-table/9'"),
        ("# format: natdeploy.latency-table/1\n", "", "no key 'format'"),
        ("runtime: onnxruntime", "runtime: caffe", "header key 'runtime'"),
        ("precision: fp32", "precision: fp8", "header key 'precision'"),
        ("provenance: measured", "provenance: guessed", "header key 'provenance'"),
        ("threads: 1", "threads: one", "header key 'threads'"),
        ("threads: 1", "threads: 1\n# colour: red", "header key 'colour'"),
        ("# threads: 1\n", "", "header key 'threads'"),
        ("  kendall_tau: 0.97", "  kendall_tau: .nan", "header key 'validation.kendall_tau'"),
        ("  beta: 1.0", "  beta: 0.0", "header key 'calibration.beta'"),
        ("batch: 1", "batch: [1", "not valid YAML"),
    ],
)
def test_a_bad_header_is_refused_by_key(table, old, new, reason):
    """Every header field is checked."""
    assert reason in refused(format_table(table).replace(old, new))


def test_a_bad_header_field_is_refused_by_its_line(table):
    """The line of a nested header field is named."""
    text = format_table(table)
    bad = text.replace("  mape_percent: 1.5", "  mape_percent: -1.5")
    assert f"line {line_of(bad, '#   mape_percent')}:" in refused(bad)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (COLUMNS[:-1], "columns are missing: runs"),
        ((*COLUMNS, "colour"), "columns are unknown or repeated: colour"),
        ((*COLUMNS, "op"), "columns are unknown or repeated: repeated"),
    ],
)
def test_missing_and_unknown_columns_are_refused(table, columns, reason):
    """The line of column names must hold each column once and nothing else."""
    text = format_table(table).replace(",".join(COLUMNS), ",".join(columns))
    assert reason in refused(text)


def test_no_truncation_reads_as_other_latencies(table):
    """A file that was cut short anywhere is refused, or lacks whole rows; `runs`, the last column, may lose digits."""
    text = format_table(table)
    for length in range(len(text) - 1):
        try:
            read = parse_table(text[:length], "some.csv")
        except InputError:
            continue
        assert all(dataclasses.replace(row, runs=7) == table.rows[layer] for layer, row in read.rows.items())


@pytest.mark.parametrize("text", ["", "op,in_size\n", "hello", "# just a comment\n1,2\n", "PK\x03\x04"])
def test_something_else_is_not_a_table(text):
    """A file of another kind is said not to be a latency table."""
    assert "not a latency table" in refused(text)


def test_a_missing_or_binary_file_is_refused(tmp_path):
    """The message names the file."""
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match=r"binary\.csv"):
        read_table(tmp_path / "binary.csv")


def test_another_provenance_needs_fresh(tmp_path, table):
    """Estimates never slip into the file of measurements."""
    path = tmp_path / "table.csv"
    write_table(path, table)
    estimated = dataclasses.replace(table, provenance="estimated")
    with pytest.raises(InputError, match="holds measured latencies") as caught:
        write_table(path, estimated)
    assert "--fresh" in str(caught.value.hint)
    assert read_table(path) == table
    write_table(path, estimated, fresh=True)
    assert read_table(path).provenance == "estimated"


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path, table):
    """Nothing is written below something that is a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_table(tmp_path / "file" / "table.csv", table)


def test_the_users_tables_are_found_by_device_and_options(home, table):
    """A table lies where its deployment says, and is found there."""
    assert find_table(DEPLOYMENT) is None
    write_table(table_path(DEPLOYMENT), table)
    found = find_table(DEPLOYMENT)
    assert found is not None
    assert (found.path, found.packaged) == (table_path(DEPLOYMENT), False)
    assert found.read() == table
    assert [stored.deployment for stored in list_tables("host")] == [DEPLOYMENT]
    assert choose_table(find_device("host")).path == table_path(DEPLOYMENT)


def test_the_only_table_that_fits_is_chosen(home, table):
    """Without a table of the defaults, a single other one will do; of several none is guessed."""
    two = dataclasses.replace(DEPLOYMENT, threads=2)
    write_table(table_path(two), dataclasses.replace(table, deployment=two))
    assert choose_table(find_device("host")).deployment == two
    with pytest.raises(InputError, match=r"tables of host: host \(onnxruntime, fp32, batch 1, 2 threads\)"):
        choose_table(find_device("host"), TableSelector(threads=3))
    three = dataclasses.replace(DEPLOYMENT, threads=3)
    write_table(table_path(three), dataclasses.replace(table, deployment=three))
    with pytest.raises(InputError, match="there is no latency table of host"):
        choose_table(find_device("host"))
    assert choose_table(find_device("host"), TableSelector(threads=3)).deployment == three


def test_without_tables_the_message_says_how_to_make_one(home):
    """The hint is the command that profiles the device, for the space that the table is needed for."""
    with pytest.raises(InputError, match="tables of host: none") as caught:
        choose_table(find_device("host"))
    assert caught.value.hint == "make one with: natdeploy profile --device host"
    with pytest.raises(InputError, match="tables of host: none") as caught:
        choose_table(find_device("host"), space=find_space("lite"))
    assert caught.value.hint == "make one with: natdeploy profile --device host --supernet lite"


def test_a_table_in_the_place_of_another_is_refused(home, table):
    """What a file says and where it lies must agree."""
    elsewhere = dataclasses.replace(DEPLOYMENT, device="pixel-8")
    write_table(table_path(elsewhere), table)
    found = find_table(elsewhere)
    assert found is not None
    with pytest.raises(InputError, match="the file's folder and name say pixel-8"):
        found.read()


def test_a_thousand_bad_rows_are_told_at_once(table, tmp_path):
    """A file that is mostly something else is refused as a whole; up to then each bad row has its error."""
    for count in (1000, 1001):
        (tmp_path / "t.csv").write_text(format_table(table) + "#\n" * count)
        if count == 1000:
            read, errors = scan_table(tmp_path / "t.csv")
            assert (read, len(errors)) == (table, count)
        else:
            with pytest.raises(InputError, match=r"t\.csv: more than 1,000 rows are not valid; .* line \d+: 1 columns"):
                scan_table(tmp_path / "t.csv")
