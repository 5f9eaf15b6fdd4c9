"""What reaches a terminal is text."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from natdeploy import cli
from natdeploy.cli.output import print_line, print_table
from natdeploy.cli.progress import PlainReporter
from natdeploy.cli.terminal import to_line, to_short_line

RED = "\x1b[31m"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{RED}x", r"\x1b[31mx"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),
        ("abc\u202egnp.exe", r"abc\u202egnp.exe"),
        ("not text: \udcff", r"not text: \udcff"),
        ("Größe 模型 🙂", "Größe 模型 🙂"),
    ],
)
def test_characters_that_act_on_a_terminal_are_escaped(text, line):
    """Escape sequences, line breaks, direction marks and bytes that are no text are seen, and all letters are kept."""
    assert to_line(text) == line


def test_a_long_text_keeps_its_beginning_and_its_end():
    """Of 200,000 characters a few lines are printed."""
    line = to_short_line("begin " + "x" * 200_000 + " end")
    assert line.startswith("begin xxx")
    assert line.endswith("xxx end")
    assert len(line) <= 700
    assert to_short_line("x" * 700) == "x" * 700


def test_everything_that_is_printed_is_escaped(capsys):
    """Lines and tables of results, messages, warnings and progress carry no control character."""
    print_line(f"table: {RED}")
    print_table(["device"], [[f"board{RED}\n{'x' * 5000}"]])
    reporter = PlainReporter()
    reporter.info(RED)
    reporter.warn(RED * 10_000)
    reporter.progress(RED, 1, 1, RED)
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert len(shown.out + shown.err) < 3000
    assert len(shown.out.splitlines()) == 3


@pytest.mark.parametrize("name", [f"{RED}a.json", "a\nb.json", "x" * 5000, "x" * 200_000, "/".join("x" * 2100)])
@pytest.mark.parametrize(
    "command",
    [
        "inspect {}",
        "export {}",
        "predict smallest --supernet {}",
        "tables check {}",
        "extract smallest --supernet starter --weights {}",
        "search --resume {}",
        "search --accuracy {}",
        "report {}",
        "profile --device {}",
        "{}",
        "inspect --{}",
    ],
)
def test_names_are_refused_in_words(command, name, capsys, monkeypatch, tmp_path):
    """A name with escape sequences, with line breaks or that is too long is one short error, for every command."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    assert cli.run([word.replace("{}", name) for word in command.split()]) == 2
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert len(error.splitlines()) <= 3
    assert len(error) < 1600
    assert "unexpected" not in error


@pytest.mark.parametrize("command", ["devices", "devices --json", "--help", "--version"])
def test_a_closed_stdout_is_not_a_full_disk(command):
    """Where there is no stdout, the error says so, with the exit code of an output that cannot be written."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "natdeploy", *command.split()],
        stderr=subprocess.PIPE,
        check=False,
        text=True,
    )
    assert done.returncode == 2
    assert "cannot write to stdout: it is closed" in done.stderr
    assert "space" not in done.stderr


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NaN", "1e999"])
@pytest.mark.parametrize("option", ["--lr", "--cutmix", "--width", "--weight-decay", "--momentum"])
def test_numbers_are_finite(option, value, capsys, monkeypatch, tmp_path):
    """Options, settings files and the environment take no number that is not finite."""
    monkeypatch.chdir(tmp_path)
    given = ["adapt", "--data", "digits", "--output", "run"]
    assert cli.run([*given, f"{option}={value}"]) == 2
    assert f"'{option}': {float(value)} is not a finite number" in capsys.readouterr().err
    monkeypatch.setenv(f"NATDEPLOY_ADAPT_{option[2:].replace('-', '_').upper()}", value)
    assert cli.run(given) == 2
    assert "is not a finite number" in capsys.readouterr().err
    assert not Path("run").exists()


def test_numbers_of_a_settings_file_are_finite(capsys, monkeypatch, tmp_path):
    """TOML knows nan and inf; no option does."""
    monkeypatch.chdir(tmp_path)
    for value in ("nan", "-inf"):
        Path("natdeploy.toml").write_text(f"[adapt]\nlr = {value}\n")
        assert cli.run(["adapt", "--data", "digits", "--output", "run", "--json"]) == 2
        message = json.loads(capsys.readouterr().out)["error"]["message"]
        assert f"lr is {value}, not a finite number" in message


def test_commands_that_are_named_can_be_pasted(capsys, monkeypatch, tmp_path):
    """A path with a space or a quote is quoted in the command that a message names."""
    folder = tmp_path / "my run; touch x"
    folder.mkdir()
    (folder / "run.toml").write_text('format = "natdeploy.run/1"\n[search]\n')
    monkeypatch.chdir(tmp_path)
    assert cli.run(["search", "--data", "digits", "--output", folder.name, "--device", "jetson-nano"]) == 2
    assert f"continue it with --resume '{folder.name}'" in capsys.readouterr().err
