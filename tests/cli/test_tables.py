"""`natdeploy tables`: what is written, replaced, found and refused, with the right exit code."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from natdeploy import cli
from natdeploy.core.cost import space_layers
from natdeploy.core.genotype import decode, sample
from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import walk
from natdeploy.io.spaces import find_space
from natdeploy.io.table_store import table_path
from natdeploy.io.tables import read_table, write_table
from natdeploy.testing.tables import HOST, made_up_table

SPACE = find_space("starter")
BOARD = dataclasses.replace(HOST, device="jetson-nano")
DEVICES = """
[board]
kind = "server-cpu"
chip = "chip"
runtime = "onnxruntime"
precision = "fp32"
threads = 1
transport = "ssh"

[twin]
kind = "server-cpu"
chip = "chip"
runtime = "onnxruntime"
precision = "fp32"
threads = 1
transport = "ssh"
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty current directory, and a data folder with two devices."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "devices.toml").write_text(DEVICES)
    return tmp_path / "home"


@pytest.fixture
def run(capsys):
    """Return a call of the command line that gives exit code, stdout and stderr."""

    def call(arguments):
        code = cli.run(["tables", *arguments.split()])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def lut(tmp_path):
    """Return NSGANetV2's file of the starter space at one resolution."""
    lines = []
    for layer in space_layers(SPACE, 0.5, 48, [10]):
        shapes = f"input:48x48x3-output:24x24x{layer.out_channels}"
        if layer.op != "stem":
            out = layer.out_size
            shapes = (
                f"input:{layer.in_size}x{layer.in_size}x{layer.in_channels}-output:{out}x{out}x{layer.out_channels}"
            )
        rest = (
            f"-expand:{layer.mid_channels // layer.in_channels}-kernel:{layer.kernel}-stride:{layer.stride}"
            f"-idskip:{int(layer.skip)}-se:{int(layer.se)}"
        )
        key = {
            "stem": f"first_conv-{shapes}",
            "block": f"MBConv-{shapes}{rest}",
            "final_expand": f"final_expand_layer-{shapes}",
            "feature_mix": f"feature_mix_layer-{shapes}",
            "classifier": f"classifier-input:{layer.in_channels}-output:10",
        }.get(layer.op)
        if key is not None:
            lines.append(f"{key}: {{mean: {layer.madds / 1e7 + 0.01}, var: 0.0}}\n")
    path = tmp_path / "lut.yaml"
    path.write_text("".join(lines))
    return path


def measurements(tmp_path, count, *, factor=1.0, name="measured.csv", work=True):
    """Write latencies of random networks: of their work by the made-up table, or of their depth."""
    table, rng = made_up_table(SPACE), np.random.default_rng(0)
    lines = ["architecture,latency_ms,classes"]
    for row in sample(SPACE, count, rng):
        architecture = decode(SPACE, row)
        layers = walk(SPACE, architecture, 10)
        value = factor * (table.predict(layers).latency_ms if work else 5.0 + len(layers)) * rng.normal(1, 0.02)
        cell = json.dumps(architecture.to_json()).replace('"', '""')
        lines.append(f'"{cell}",{value},10')
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return path


IMPORT = "import {} --format nsganet --device board --supernet starter"


def test_import_writes_a_table_that_predicts(run, lut):
    """The table lies where it is looked up, says that it is imported, and pooling is folded."""
    code, out, _ = run(IMPORT.format(lut) + " --json")
    document = json.loads(out)
    assert (code, document["ok"], document["provenance"]) == (0, True, "imported")
    assert (document["folded"], document["resolutions"], document["replaced"]) == (["pooling"], [48], None)
    deployment = dataclasses.replace(HOST, device="board")
    table = read_table(table_path(deployment))
    assert table.deployment == deployment
    assert table.find_covered_resolutions(SPACE, 10) == (48,)


def test_import_takes_the_options_of_a_table(run, lut, tmp_path):
    """Runtime, precision, batch and threads may be other than the device's; a folder as output gets the usual names."""
    code, out, _ = run(
        IMPORT.format(lut) + f" --runtime litert --precision int8 --batch 4 --threads 2 --output {tmp_path} --json"
    )
    assert code == 0
    path = tmp_path / "board" / "litert-int8-b4-t2.csv"
    assert json.loads(out)["table"] == str(path)
    assert read_table(path).deployment.batch == 4


def test_import_replaces_an_import_and_keeps_one_copy(run, lut):
    """A second import takes the place of the first, which stays beside it; a third takes the place of the copy."""
    run(IMPORT.format(lut))
    path = table_path(dataclasses.replace(HOST, device="board"))
    for _ in range(2):
        before = path.read_text()
        code, out, _ = run(IMPORT.format(lut) + " --json")
        kept = json.loads(out)["replaced"]
        assert code == 0
        assert kept == f"{path}.bak"
        assert path.with_name(path.name + ".bak").read_text() == before
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, path.name + ".bak"]


def test_import_does_not_replace_another_provenance(run, lut):
    """A measured table stays, unless --fresh is said."""
    path = table_path(dataclasses.replace(HOST, device="board"))
    write_table(path, made_up_table(SPACE, deployment=dataclasses.replace(HOST, device="board")))
    before = path.read_text()
    code, _, err = run(IMPORT.format(lut))
    assert code == 2
    assert "holds measured latencies" in err
    assert path.read_text() == before
    assert run(IMPORT.format(lut) + " --fresh")[0] == 0
    assert read_table(path).provenance == "imported"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("import nowhere --format ofa --device board --supernet starter", "nowhere"),
        ("import nowhere --format csv --device board --supernet starter", "unknown format 'csv'"),
        ("import nowhere --format ofa --device bored --supernet starter", "did you mean 'board'?"),
        ("import nowhere --format ofa --device board --supernet stater", "did you mean 'starter'?"),
        ("import nowhere --format ofa --device board", "--supernet"),
        ("fit --measurements nowhere.csv --device board", "nowhere.csv: no such file"),
        ("calibrate --from nowhere.csv --measurements m.csv --device board", "nowhere.csv: no such file"),
        ("check nowhere.csv", "nowhere.csv: no such file"),
        ("show board", "no latency table"),
    ],
)
def test_bad_usage(run, home, arguments, said):
    """Exit code 2, a message that names what is wrong, and nothing written."""
    code, out, err = run(arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert not (home / "latency_tables").exists()


def test_a_copy_of_another_device_is_not_imported(run, lut, home):
    """Rows that equal another device's to the last digit end with exit code 1 and write nothing."""
    run(IMPORT.format(lut))
    code, _, err = run(IMPORT.format(lut).replace("board", "twin"))
    assert code == 1
    assert "equal those of board" in err
    assert not (home / "latency_tables" / "twin").exists()


def test_fit_then_calibrate_then_predict(run, tmp_path, capsys):
    """A table of one device from its networks, one of another by a few of its own; then both predict."""
    fit_file, few = measurements(tmp_path, 80), measurements(tmp_path, 15, factor=2.5, name="few.csv")
    code, out, err = run(f"fit --measurements {fit_file} --device board --supernet starter --json")
    fitted = json.loads(out)
    assert (code, fitted["provenance"], fitted["validation"]["networks"]) == (0, "fitted", 80)
    assert fitted["conditions"]["rows_without_measurement"] > 0
    assert "follow the prior" in err
    code, out, _ = run(f"calibrate --from board --measurements {few} --device twin --supernet starter")
    assert code == 0
    assert "calibrated (calibrated-whole-networks)" in out
    assert "error over 15 networks: MAPE" in out
    (tmp_path / "net.json").write_text(
        '{"w": 0.5, "r": 48, "d": [2, 2, 2, 2, 2], "e": [3], "ks": [3]}'.replace("[3]", str([3] * 10))
    )
    values = {}
    for device in ("board", "twin"):
        assert cli.run(["predict", str(tmp_path / "net.json"), "--device", device, "--classes", "10", "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["lower_ms"] < document["latency_ms"] < document["upper_ms"]
        values[document["provenance"]] = document["latency_ms"]
    assert values["calibrated"] / values["fitted"] == pytest.approx(2.5, rel=0.15)


@pytest.mark.parametrize("command", ["fit", "calibrate --from {}/source.csv"])
def test_seconds_are_not_taken_for_milliseconds(run, home, tmp_path, command):
    """Measurements that no device can reach end with exit code 1 and a question for the unit; nothing is written."""
    write_table(tmp_path / "source.csv", made_up_table(SPACE))
    path = measurements(tmp_path, 40, factor=1e-3)
    code, _, err = run(f"{command.format(tmp_path)} --measurements {path} --device board --supernet starter")
    assert code == 1
    assert "are they seconds in place of milliseconds?" in err
    assert list(home.rglob("*.csv")) == []


@pytest.mark.parametrize(("factor", "code"), [(1000, 1), (4, 0)])
def test_a_measurement_that_is_far_off_is_named(run, tmp_path, factor, code):
    """The fit says which line is far from the others, and refuses one that is a thousand times off."""
    path = measurements(tmp_path, 40)
    lines = path.read_text().splitlines()
    cell, value, classes = lines[5].rsplit(",", 2)
    lines[5] = f"{cell},{float(value) * factor},{classes}"
    path.write_text("\n".join(lines) + "\n")
    found, _, err = run(f"fit --measurements {path} --device board --supernet starter")
    assert found == code
    assert "measured.csv, line 6: " in " ".join(err.split())


def test_a_table_in_seconds_is_not_imported(run, lut, home):
    """Other tools write their tables in seconds; the import asks for the unit and writes nothing."""
    lines = lut.read_text().splitlines()
    scaled = [re.sub(r"mean: (\S+),", lambda mean: f"mean: {float(mean[1]) / 1e3},", line) for line in lines]
    lut.write_text("\n".join(scaled) + "\n")
    code, _, err = run(IMPORT.format(lut))
    assert code == 1
    assert "are they seconds in place of milliseconds?" in err
    assert list(home.rglob("*.csv")) == []


def test_check_finds_a_table_in_seconds(run, tmp_path):
    """A table whose rows are a thousand times too fast does not pass; its measurements are checked alike."""
    table = made_up_table(SPACE)
    rows = {
        layer: dataclasses.replace(
            stats,
            median_ms=stats.median_ms / 1e3,
            p10_ms=stats.p10_ms / 1e3,
            p90_ms=stats.p90_ms / 1e3,
            mean_ms=stats.mean_ms / 1e3,
        )
        for layer, stats in table.rows.items()
    }
    write_table(tmp_path / "fast.csv", dataclasses.replace(table, rows=rows))
    code, out, _ = run(f"check {tmp_path}/fast.csv")
    assert code == 1
    assert "faster-than-possible" in out
    write_table(tmp_path / "good.csv", table)
    path = measurements(tmp_path, 40, factor=1e-3)
    code, out, _ = run(f"check {tmp_path}/good.csv --measurements {path}")
    assert code == 1
    assert "faster-than-possible" in out


def test_launch_bound_measurements_are_said_to_be(run, tmp_path):
    """A warning goes to stderr, and `check` finds it in the table again; it is no error."""
    path = measurements(tmp_path, 40, work=False)
    code, _, err = run(f"fit --measurements {path} --device board --supernet starter")
    assert code == 0
    assert "launch-bound" in err
    code, out, _ = run("check board")
    assert code == 0
    assert "warning: launch-bound" in out


def test_fit_refuses_resolutions_that_were_not_measured(run, tmp_path):
    """They are named."""
    path = measurements(tmp_path, 40)
    code, _, err = run(f"fit --measurements {path} --device board --supernet starter --resolutions 48,64")
    assert code == 2
    assert "no measured network has resolution 64" in err


def test_calibrate_needs_ten_networks(run, tmp_path):
    """Nine are refused."""
    write_table(tmp_path / "source.csv", made_up_table(SPACE))
    path = measurements(tmp_path, 9)
    code, _, err = run(
        f"calibrate --from {tmp_path}/source.csv --measurements {path} --device board --supernet starter"
    )
    assert code == 2
    assert "9 different networks are too few" in err


def test_check_of_a_good_table(run):
    """Exit code 0 and an empty list, by file and by device."""
    path = table_path(HOST)
    write_table(path, made_up_table(SPACE))
    code, out, _ = run(f"check {path} --json")
    assert (code, json.loads(out)) == (0, {"ok": True, "table": str(path), "findings": []})
    assert run("check host")[:2] == (0, f"{path}: no findings\n")


def test_check_finds_a_header_that_contradicts_the_name(run):
    """A table under the name of another deployment is an error for `check` and `show`, as it is for `predict`."""
    path = table_path(HOST)
    write_table(path, made_up_table(SPACE))
    path.write_text(path.read_text().replace(f"threads: {HOST.threads}", f"threads: {HOST.threads + 1}", 1))
    code, out, _ = run("check host")
    assert code == 1
    assert "other-deployment" in out
    for command in ("show host", f"show {path}"):
        code, _, err = run(command)
        assert code == 2
        assert "the file's folder and name say" in err
    elsewhere = path.with_name("mine.csv")
    path.rename(elsewhere)
    assert run(f"check {elsewhere}")[0] == 0


def test_check_reports_every_bad_row_by_line(run, tmp_path):
    """Zero, negative, NaN, repeated and damaged rows are all named at once, and the exit code is 1."""
    path = tmp_path / "bad.csv"
    write_table(path, made_up_table(SPACE))
    lines = path.read_text().splitlines()
    first = 10 + next(number for number, line in enumerate(lines) if line.startswith("op,"))

    def with_median(number, value):
        cells = lines[number].split(",")
        return ",".join([*cells[:10], value, *cells[11:]])

    for offset, value in enumerate(("0.0", "-1", "nan", "quick")):
        lines[first + offset] = with_median(first + offset, value)
    lines.append(lines[-1])
    path.write_text("\n".join(lines) + "\n")
    code, out, err = run(f"check {path} --json")
    document = json.loads(out)
    found = {finding["code"]: finding for finding in document["findings"]}
    assert (code, document["ok"], err) == (1, False, "")
    assert len(found["not-positive"]["rows"]) == 2
    assert f"line {first + 1}: median_ms is 0" in found["not-positive"]["rows"][0]
    assert f"line {first + 3}: median_ms is nan" in found["not-a-number"]["rows"][0]
    assert f"line {first + 4}: median_ms is 'quick'" in found["unreadable-row"]["rows"][0]
    assert f"line {len(lines)}: this layer already has a row" in found["repeated-row"]["rows"][0]
    assert len(found["missing-rows"]["rows"]) == 4
    code, out, err = run(f"check {path}")
    assert code == 1
    assert "error: not-positive" in out
    assert "has errors" in err


def test_check_of_what_is_asked_for(run, tmp_path):
    """A space and resolutions that are named must be there; measurements that are sums are found."""
    path = tmp_path / "table.csv"
    write_table(path, made_up_table(SPACE))
    code, out, _ = run(f"check {path} --supernet starter --resolutions 48,64")
    assert code == 1
    assert "missing-rows" in out
    table = made_up_table(SPACE)
    lines = ["architecture,latency_ms,classes"]
    for row in sample(SPACE, 12, np.random.default_rng(0)):
        architecture = decode(SPACE, row)
        cell = json.dumps(architecture.to_json()).replace('"', '""')
        lines.append(f'"{cell}",{table.predict(walk(SPACE, architecture, 10)).latency_ms},10')
    (tmp_path / "sums.csv").write_text("\n".join(lines))
    code, out, _ = run(f"check {path} --measurements {tmp_path}/sums.csv")
    assert code == 1
    assert "error: exact-sums" in out


def test_check_finds_rows_of_another_device(run, tmp_path):
    """Against every table that natdeploy knows."""
    write_table(table_path(HOST), made_up_table(SPACE))
    path = tmp_path / "copy.csv"
    write_table(path, made_up_table(SPACE, deployment=BOARD))
    code, out, _ = run(f"check {path}")
    assert code == 1
    assert "error: equal-to-other" in out


def test_show_says_how_far_a_table_can_be_trusted(run, tmp_path):
    """Provenance, method, error, interval and conditions in words; rows where they are asked for."""
    table = made_up_table(SPACE)
    path = tmp_path / "table.csv"
    write_table(path, dataclasses.replace(table, conditions={"governor": "performance"}))
    code, out, _ = run(f"show {path}")
    assert code == 0
    for text in ("host (onnxruntime", "measured (made-up)", "never compared", "governor: performance", "32, 40, 48"):
        assert text in out
    assert "median ms" not in out
    assert run(f"show {path} --rows")[1].count("block ") > 100
    document = json.loads(run(f"show {path} --rows --json")[1])
    assert document["rows"] == len(document["layers"]) == len(table.rows)
    assert LatencyStats(**{key: document["layers"][0][key] for key in LatencyStats.__dataclass_fields__}).runs == 1
    assert "layers" not in json.loads(run(f"show {path} --json")[1])
