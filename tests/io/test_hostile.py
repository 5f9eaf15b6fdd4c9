"""Files that were made to be difficult end in one short error."""

import subprocess
import sys

import pytest

from natdeploy import cli


@pytest.mark.parametrize(
    ("command", "name", "reason"),
    [
        ("tables check", "table-deep500.csv", "is nested more than 20 deep"),
        ("tables check", "table-hdrlong.csv", "not a CSV row: field larger"),
        ("tables check", "table-hdrquote.csv", "not a CSV row"),
        ("tables check", "table-int.csv", "Exceeds the limit"),
        ("tables check", "table-ts.csv", "month must be in 1..12"),
        ("inspect", "subnet-metrics-1e999.json", "1e999 is too large for a number"),
    ],
)
def test_difficult_files_are_one_short_error(command, name, reason, shared_data, capsys):
    """Deep nesting, long lines, huge numbers and odd dates are told with the file, in at most three lines."""
    assert cli.run([*command.split(), str(shared_data / "cases" / "hostile" / name)]) == 2
    error = capsys.readouterr().err
    assert name in error
    assert reason in error
    assert len(error.splitlines()) <= 3
    assert len(error) < 1600


@pytest.mark.parametrize(
    ("case", "name", "command"),
    [
        ("devices-deep.toml", "home/devices.toml", "profile --device jetson-nano"),
        ("natdeploy-hugeint.toml", "natdeploy.toml", "devices"),
        ("run-deep.toml", "run/run.toml", "report run"),
        ("run-deep.toml", "my.toml", "inspect smallest --supernet my.toml"),
    ],
)
def test_difficult_settings_are_one_short_error(case, name, command, shared_data, tmp_path, capsys, monkeypatch):
    """Every TOML file is read in one way, whatever it is for."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes((shared_data / "cases" / "hostile" / case).read_bytes())
    assert cli.run(command.split()) == 2
    error = capsys.readouterr().err
    assert "not valid TOML: " in error
    assert "unexpected" not in error
    assert len(error.splitlines()) <= 3


def test_hostile_measurements_are_one_short_error(shared_data, capsys, tmp_path):
    """A number of classes of thousands of digits is refused as any other that is none."""
    path = shared_data / "cases" / "hostile" / "measurements-hugeclasses.csv"
    command = "tables fit --device jetson-nano --supernet nat --measurements"
    assert cli.run([*command.split(), str(path), "-o", str(tmp_path / "t.csv")]) == 2
    error = capsys.readouterr().err
    assert "hugeclasses.csv, line 2: classes is '9999" in error
    assert "unexpected" not in error
    assert len(error) < 400


def test_an_alias_bomb_is_refused_within_little_memory(shared_data):
    """A table whose header would become gigabytes is one error, in a process that may not have so many."""
    path = shared_data / "cases" / "hostile" / "table-laugh.csv"
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
    code += f"from natdeploy.cli import main; main(['tables', 'check', {str(path)!r}])"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert done.stderr.endswith("table-laugh.csv, line 14: the header is not valid YAML: it refers to another part\n")


def test_a_header_does_not_expand(tmp_path, capsys):
    """Parts of a header that refer to others, which can multiply a million times, are refused before they are made."""
    lines = ["# a: &a [x, x]", *(f"# {name}: &{name} [*{last}, *{last}]" for last, name in ("ab", "bc", "cd", "de"))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert cli.run(["tables", "check", str(tmp_path / "t.csv")]) == 2
    assert "line 2: the header is not valid YAML: it refers to another part" in capsys.readouterr().err
