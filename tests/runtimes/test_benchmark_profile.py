"""Operator times of benchmark_model: tables and comma-separated files, and what becomes of them."""

from __future__ import annotations

import pytest

from natdeploy.core.operators import owners
from natdeploy.errors import InputError
from natdeploy.runtimes.benchmark_profile import OperatorTime, operator_profile, read_operators
from tests.support.tool_outputs import OPERATORS, OPERATORS_CSV, sample

LINUX = "tflite_benchmark_model_linux_x86_2024_op_profiling.txt"
OLD_TABLE, OLD_CSV = "tflite_op_profiling_old_start_column_excerpt.txt", "tflite_op_profiling_old_csv.txt"


def test_a_table_is_read_in_run_order():
    """Node types, names with blanks and commas, times and totals of a constructed table."""
    times = read_operators(OPERATORS)
    assert times.operators == (
        OperatorTime(kind="CONV_2D", name="[stem/conv;stem/act]:0", mean_ms=1, calls=1),
        OperatorTime(kind="PAD", name="[padded, twice]:1", mean_ms=0.25, calls=1),
        OperatorTime(kind="FULLY_CONNECTED", name="[classifier]:2", mean_ms=0.75, calls=1),
    )
    assert times.kind_ms == {"CONV_2D": 1, "FULLY_CONNECTED": 0.75, "PAD": 0.25}
    assert times.nodes == 3
    assert times.total is not None
    assert (times.total.runs, times.total.mean_ms) == (50, 2)


def test_a_comma_separated_file_is_read():
    """Node types hold commas; the initialization's section is left out."""
    times = read_operators(OPERATORS_CSV)
    assert times.operators == (
        OperatorTime(kind="Convolution (NHWC, F32)", name="[stem/conv]:0", mean_ms=1.00004, calls=1),
        OperatorTime(kind="SOFTMAX", name="[Identity]:1", mean_ms=0.25, calls=1),
    )
    assert times.kind_ms == {"Convolution (NHWC, F32)": 1.00004, "SOFTMAX": 0.25}
    assert times.nodes == 2


def test_a_new_real_table_is_read():
    """Without the start column, behind the output of the run; a delegate's rows are of up to 13 calls."""
    times = read_operators(sample(LINUX))
    assert len(times.operators) == 7
    assert times.operators[1].kind == "Convolution (NHWC, QC8) IGEMM"
    assert times.operators[1].mean_ms == 0.407
    assert times.operators[2] == OperatorTime(
        kind="Convolution (NHWC, QC8) DWConv",
        name="Delegate/Convolution (NHWC, QC8) DWConv:1",
        mean_ms=0.051,
        calls=13,
    )
    assert times.operators[2].run_ms == pytest.approx(0.663)
    assert times.operators[5].name == "[fpn_cells/cell_0/fnode2/resample_1_6_7/ResizeNearestNeighbor]:74"
    assert times.nodes == 171
    assert times.total is not None
    assert (times.total.runs, times.total.mean_ms) == (64, 15.3092)
    assert sum(times.kind_ms.values()) == pytest.approx(times.total.mean_ms, rel=0.01)


def test_an_old_real_table_is_read():
    """With the start column and without the run's output."""
    times = read_operators(sample(OLD_TABLE))
    assert [row.mean_ms for row in times.operators] == [1.504, 0.689, 0.464, 2.111, 0.901, 0.019, 0]
    assert times.operators[3].name == "[MobilenetV2/expanded_conv_1/expand/Relu6]"
    assert times.kind_ms["DEPTHWISE_CONV_2D"] == 4.229
    assert times.nodes == 65
    assert times.total is not None
    assert sum(times.kind_ms.values()) == pytest.approx(times.total.mean_ms) == 20.873


def test_an_old_real_comma_separated_file_is_read():
    """With the start column; it ends before its totals."""
    times = read_operators(sample(OLD_CSV))
    assert [row.mean_ms for row in times.operators] == [0.0930388, 0.0300884, 0.0272269, 0.00214613, 0.000342312]
    assert times.operators[0] == OperatorTime(
        kind="CONV_2D", name="[sequential_11/conv2d_33/Conv2D]:0", mean_ms=0.0930388, calls=1
    )
    assert (times.nodes, times.total) == (None, None)


def test_operators_become_a_profile_in_run_order():
    """An operator whose name tells no module goes to the next that does."""
    profile = operator_profile(read_operators(OPERATORS))
    assert [node.name for node in profile.nodes] == ["stem/conv + stem/act", "padded + twice", "classifier"]
    assert [node.op for node in profile.nodes] == ["CONV_2D", "PAD", "FULLY_CONNECTED"]
    assert profile.times_us.tolist() == [[1000, 250, 750]]
    scopes = {"stem", "classifier"}
    found = owners(profile.nodes, lambda name: name.split("/")[0] if name.split("/")[0] in scopes else None, last="z")
    assert found == ["stem", "classifier", "classifier"]


def test_modules_are_read_from_the_names_that_litert_torch_gives():
    """Scopes are classes with attributes; the result reads like an ONNX node's name, other names stay as they are."""
    scopes = "a.io.Wrapper/b.network.Network_wrapped/torch.nn.Sequential_blocks/b.network.Block_7/b.network.Unit_{}"
    fused = f"{scopes.format('expand')}/torch.nn.Conv2d_conv;;{scopes.format('project')};2"
    text = OPERATORS.replace("stem/conv;stem/act", fused).replace("padded, twice", "a.io.Net/b.c.Unit_final_expand;")
    nodes = operator_profile(read_operators(text)).nodes
    assert nodes[0].name == "/blocks/blocks.7/expand/conv/CONV_2D + /blocks/blocks.7/project/CONV_2D"
    assert nodes[1].name == "/final_expand/PAD"
    assert nodes[2].name == "classifier"


@pytest.mark.parametrize("name", [LINUX, OLD_TABLE, OLD_CSV])
def test_a_real_excerpt_is_no_profile(name):
    """Rows were dropped from the samples, or their end is missing."""
    with pytest.raises(InputError, match=r"rows of \d+ operators: rows are missing|cut short"):
        operator_profile(read_operators(sample(name)))


def test_one_opaque_node_of_a_delegate_is_refused_by_name():
    """What the parts of the model in it take is not told."""
    text = OPERATORS.replace("CONV_2D", "TfLiteXNNPackDelegate")
    with pytest.raises(InputError, match=r"TfLiteXNNPackDelegate shows as one operator \(50 % of the time\)") as caught:
        operator_profile(read_operators(text))
    assert "whole networks" in (caught.value.hint or "")


def test_rows_of_a_delegate_that_tell_no_module_are_refused():
    """A delegate that is profiled names its rows by what they compute."""
    text = OPERATORS.replace("[stem/conv;stem/act]:0", "Delegate/Convolution (NHWC, F32) IGEMM:0")
    with pytest.raises(InputError, match="does not tell which part of the model"):
        operator_profile(read_operators(text))


def test_rows_of_several_operators_are_refused():
    """Rows with equal names are joined, so that what each operator takes is lost."""
    once, twice = ("\t{0}\t{0}\t50.000%\t50.000%\t0.000\t{1}\t".format(*row) for row in (("1.000", 1), ("0.500", 2)))
    with pytest.raises(InputError, match="2 operators share the row"):
        operator_profile(read_operators(OPERATORS.replace(once, twice)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tFULLY_CONNECTED\t0.750\t0.750\t37.500%\t100.000%\t0.000\t1\t[classifier]:2\n", "", "2 rows of 3 operators"),
        (
            "\t0.750\t0.750\t37.500%\t100.000%",
            "\t0.750\t0.075\t37.500%\t100.000%",
            "add up to 1.325 ms, its total is 2",
        ),
        ("3 nodes observed", "", "cut short"),
        ("Timings (microseconds): ", "Timings: ", "cut short"),
    ],
)
def test_incomplete_profiles_are_refused(old, new, message):
    """Rows are counted and added up."""
    with pytest.raises(InputError, match=message):
        operator_profile(read_operators(OPERATORS.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[first] [avg ms]", "[avg ms] [first]", "line 3: unknown columns"),
        ("[mem KB] ", "", "line 3: unknown columns"),
        ("[node type] [first]", "[node type] [begin] [first]", "line 3: unknown columns"),
        ("PAD  0.250  0.250", "PAD  0.250", "line 5: not a row of the columns"),
        ("PAD  0.250  0.250", "PAD  0.250  abc", "line 5: not a row of the columns"),
        ("PAD  0.250  0.250", "PAD  0.250  -0.250", "line 5: not a row of the columns"),
        ("PAD  0.250  0.250", "PAD  nan  nan", "line 5: not a row of the columns"),
        ("0.000  1  [padded", "0.000  0  [padded", "line 5: not a row of the columns"),
        ("  12.500%  62.500%", "  12.500  62.500", "line 5: not a row of the columns"),
        ("Run Order", "Order of Runs", "no table 'Run Order'"),
        ("Top by Computation Time", "Summary by node type", "a second section"),
        ("count=50 first", "count=many first", "line 19: not a line of statistics"),
        (
            "Regular Benchmark Runs:\n",
            "Regular Benchmark Runs:\nOperator-wise Profiling Info again\n",
            "more than one call",
        ),
    ],
)
def test_damaged_tables_are_refused_by_line(old, new, message):
    """Swapped, missing and new columns, and cells of another kind."""
    with pytest.raises(InputError, match=message):
        read_operators(OPERATORS.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("first, avg_ms", "avg_ms, first", "line 17: unknown columns"),
        ("SOFTMAX, 0.2, 0.25", "SOFTMAX, 0.25", "line 19: not a row"),
        ("SOFTMAX, 0.2, 0.25", "SOFTMAX, 0.2, x", "line 19: not a row"),
        ("Operator-wise Profiling Info for Regular", "Other", "none of the runs: it was cut short"),
    ],
)
def test_damaged_files_are_refused_by_line(old, new, message):
    """The comma-separated layout is as strict as the table."""
    head, runs = OPERATORS_CSV.split("Operator-wise", 1)
    text = head + ("Operator-wise" + runs).replace(old, new)
    with pytest.raises(InputError, match=message):
        read_operators(text)


def test_a_table_without_rows_is_refused():
    """A header alone."""
    lines = OPERATORS.splitlines()
    with pytest.raises(InputError, match="a table without rows"):
        read_operators("\n".join(lines[:3]))
    with pytest.raises(InputError, match="line 3: unknown columns: ''"):
        read_operators("\n".join(lines[:2]))


@pytest.mark.parametrize("text", [OPERATORS, OPERATORS_CSV])
def test_a_profile_cut_anywhere_is_refused_or_whole(text):
    """A cut text gives a profile only where its totals are there."""
    whole = operator_profile(read_operators(text)).times_us.tolist()
    for end in range(len(text)):
        try:
            found = operator_profile(read_operators(text[:end])).times_us.tolist()
        except InputError:
            continue
        assert found == whole


@pytest.mark.parametrize("name", [LINUX, OLD_TABLE, OLD_CSV])
def test_a_real_table_cut_anywhere_gives_nothing_but_its_own_figures(name):
    """What is read of a cut table are rows of the whole one, the last name perhaps cut."""
    text = sample(name)
    whole = [(row.kind, row.mean_ms, row.calls) for row in read_operators(text).operators]
    for end in range(0, len(text), 3):
        try:
            found = [(row.kind, row.mean_ms, row.calls) for row in read_operators(text[:end]).operators]
        except InputError:
            continue
        assert found == whole[: len(found)]


def test_the_inside_of_delegates_and_subgraphs_is_left_out():
    """Constructed: newer builds print it as a second set of sections, whose time the first has already."""
    again = OPERATORS.split("\n", 1)[1].replace("1.000", "9.000").replace("3 nodes", "7 nodes")
    assert read_operators(f"{OPERATORS}\nDelegate internal:\n{again}") == read_operators(OPERATORS)
