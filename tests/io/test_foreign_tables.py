"""Latency tables of others: read against the layers of a space, and refused by key and line."""

from __future__ import annotations

import json
import re

import pytest

from natdeploy.core.cost import space_layers
from natdeploy.core.device import Deployment
from natdeploy.core.latency import LatencyTable
from natdeploy.core.layers import walk
from natdeploy.errors import InputError
from natdeploy.io.foreign_tables import read_nsganet, read_ofa
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import read_architecture
from tests.support.foreign_tables import W10, W12, cost, nsganet_text, ofa_text

DEPLOYMENT = Deployment(device="galaxy-note10", runtime="litert", precision="fp32", batch=1, threads=1)


@pytest.fixture
def ofa(tmp_path):
    """Return a folder with two of OFA's files."""
    for resolution, shift, count in ((220, 0.0, 100), (224, 0.3, 300)):
        text = ofa_text(resolution, shift=shift, count=count)
        (tmp_path / f"{resolution}_lookup_table.yaml").write_text(text)
    return tmp_path


@pytest.fixture
def nsganet(tmp_path):
    """Return NSGANetV2's file, without rows of pooling."""
    path = tmp_path / "lut.yaml"
    path.write_text(nsganet_text())
    return path


def refused(path, *, read=read_ofa, space=W12):
    """Return the message with which a table is refused."""
    with pytest.raises(InputError) as caught:
        read(path, space)
    return caught.value.message


def edit(path, old, new):
    """Replace the first occurrence in a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_ofa_sums_are_the_published_latencies(shared_data):
    """The three networks that were published with the Note10 table take 30, 41 and 50 ms by it, within 3 %."""
    foreign = read_ofa(shared_data / "latency" / "note10", W12)
    assert foreign.resolutions == tuple(range(160, 225, 4))
    table = LatencyTable(deployment=DEPLOYMENT, provenance="imported", method=foreign.method, rows=foreign.rows)
    published = json.loads((shared_data / "published_subnets" / "ofa_note10_subnets.json").read_text())
    assert [entry["published_latency_ms"] for entry in published] == [30, 41, 50]
    for entry in published:
        architecture = read_architecture(json.dumps(entry["subnet"]), find_space("nat")).architecture
        found = table.predict(walk(W12, architecture, 1000)).latency_ms
        assert found == pytest.approx(entry["published_latency_ms"], rel=0.03)
        assert table.predict(walk(W12, architecture, 10)).latency_ms == found


def test_rows_of_several_resolutions_are_pooled(ofa):
    """A layer that two files have gets the mean over all runs, and the spread between the files."""
    foreign = read_ofa(ofa, W12)
    shared = next(layer for layer in foreign.rows if layer.op == "feature_mix")
    own = next(layer for layer in foreign.rows if layer.op == "stem" and layer.in_size == 224)
    assert foreign.rows[shared].runs == 400
    assert foreign.rows[shared].median_ms == pytest.approx(cost(shared) + 0.75 * 0.3)
    assert foreign.rows[shared].std_ms == pytest.approx((0.001**2 + 0.25 * 0.75 * 0.3**2) ** 0.5)
    assert (foreign.rows[own].runs, foreign.rows[own].std_ms) == (300, 0.001)
    assert set(foreign.rows) == {layer for r in (220, 224) for layer in space_layers(W12, 1.2, r, [1000])}


def test_one_file_is_enough(ofa):
    """A file stands for its own resolution."""
    foreign = read_ofa(ofa / "224_lookup_table.yaml", W12)
    assert foreign.resolutions == (224,)
    assert len(foreign.rows) == 96


def test_the_nat_space_takes_a_table_of_one_width(ofa):
    """Only the width whose first convolution is there is asked for."""
    assert len(read_ofa(ofa, find_space("nat")).rows) == len(read_ofa(ofa, W12).rows)


def test_nsganet_tables_fold_pooling(nsganet):
    """The layers of all resolutions are found by expand ratio; pooling is folded, not missing and not zero."""
    foreign = read_nsganet(nsganet, W10)
    assert foreign.resolutions == (192, 224)
    assert foreign.folded == ("pooling",)
    table = LatencyTable(
        deployment=DEPLOYMENT, provenance="imported", method=foreign.method, rows=foreign.rows, folded=foreign.folded
    )
    assert table.find_covered_resolutions(W10, 1000) == (192, 224)
    architecture = read_architecture("08011001440551052208877", find_space("nat")).architecture
    layers = walk(W10, architecture, 10)
    assert table.predict(layers).latency_ms == pytest.approx(sum(cost(x) for x in layers if x.op != "pooling"))
    assert {(stats.std_ms, stats.runs) for stats in foreign.rows.values()} == {(0.02, 0)}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  mean: 0.0", "  mean: -0.0", "is not positive|which no latency can have"),
        ("  mean: ", "  mean: .nan #", "mean is nan"),
        ("  mean: ", "  mean: 0.0 #", "mean is 0"),
        ("  mean: ", "  mean: .inf #", "mean is inf"),
        ("  mean: ", "  mean: quick #", "'quick', not a number"),
        ("  mean: ", "  mean: [1] #", "not a number"),
        ("  std: 0.001", "  std: -0.001", "std is -0.001"),
        ("  count: 100", "  count: 0", "count is 0"),
        ("  count: 100\n", "", "has mean, std instead of count, mean, std"),
        ("Conv-input", "Cnov-input", "unknown key 'Cnov-input"),
        ("-kernel:3", "-kernel:three", "unknown key .*whole numbers"),
        ("-kernel:3", "", "unknown key .*expanded_conv has input, output, expand"),
        ("-kernel:3", "-kernel:9", "is not a layer of ofa-mbv3-w1.2 at r = 220"),
        ("220x220x3", "224x224x3", "is not a layer of ofa-mbv3-w1.2 at r = 220"),
        ("AvgPool2D-input:7x7x1152", "AvgPool2D-input:7x8x1152", "is not a layer of"),
    ],
)
def test_what_is_wrong_is_named_by_line(ofa, old, new, said):
    """A bad figure, an unknown key or a layer of another space is refused with file and line."""
    edit(ofa / "220_lookup_table.yaml", old, new)
    message = refused(ofa)
    assert re.search(said, message)
    assert re.match(r".*220_lookup_table\.yaml, line \d+: ", message)


def test_missing_layers_are_named(ofa):
    """Every layer of the resolution must be there."""
    path = ofa / "224_lookup_table.yaml"
    text = path.read_text()
    start = text.index("AvgPool2D")
    path.write_text(text[:start] + text[text.index("Conv_2") :])
    assert refused(ofa).endswith("224_lookup_table.yaml: 1 layers have no row: pooling 7x7 1152->1152, none")


def test_repeated_keys_are_refused(ofa):
    """YAML would silently keep the last of them."""
    path = ofa / "220_lookup_table.yaml"
    text = path.read_text()
    path.write_text(text + text[: text.index("expanded_conv")])
    assert re.search(r"line \d+: not valid YAML: key 'Conv-input:.*' is repeated", refused(ofa))


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [1\n", "not valid YAML"), ("", "not a mapping"), ("[1]", "not a mapping"), ("{}", "no rows")],
)
def test_something_else_is_not_a_table(tmp_path, text, said):
    """Files of another shape are refused."""
    path = tmp_path / "lut.yaml"
    path.write_text(text)
    assert said in refused(path, read=read_nsganet, space=W10)


def test_a_folder_without_tables_is_refused(tmp_path):
    """The name that the files must have is told."""
    assert "224_lookup_table.yaml" in refused(tmp_path)


def test_a_table_of_another_space_is_refused(nsganet):
    """The layers of w1.0 are not those of w1.2."""
    assert "is not a layer of ofa-mbv3-w1.2" in refused(nsganet, read=read_nsganet)
