"""What the documentation names is there: commands with their options, files, and Python names."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from natdeploy.cli.group import COMMANDS, cli

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "latency_tables" / "README.md"])
_FOLDERS = ("natdeploy", "profilers", "export", "tests", "benchmarks", "docs", "latency_tables")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

OTHER_PROGRAMS = {"--exportOutput"}  # of trtexec

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def commands_of(text):
    """Return the words of every natdeploy command in code: fenced blocks, indented lines and spans."""
    joined = text.replace("\\\n", " ")
    fenced = "\n".join(_FENCE.findall(joined))
    lines = re.findall(r"^[$> ]*(?:\.venv/bin/|torchrun .* -m )?(natdeploy +[a-z].*)$", fenced, re.MULTILINE)
    prose = _FENCE.sub("", joined)
    lines += re.findall(rf"^ {{4}}(natdeploy +(?:{'|'.join(COMMANDS)})\b.*)$", prose, re.MULTILINE)
    spans = [span for span in _SPAN.findall(prose) if re.match(r"natdeploy +[a-z]", span)]
    return [words for line in (*lines, *spans) if len(words := words_of(line)) > 1]


def words_of(line):
    """Split a command line at its end: a comment, a pipe or a further command."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return []
    ends = [place for place, word in enumerate(words) if word in {"|", "&&", ";", ">"}]
    return words[: ends[0]] if ends else words


def unknown_options(words):
    """Return the options of a command line that its command does not have."""
    command, rest = cli, words[1:]
    context = command.make_context("natdeploy", [], resilient_parsing=True)
    while hasattr(command, "get_command") and rest:
        names = command.list_commands(context)
        assert rest[0] in names, f"{' '.join(words)}: no command {rest[0]} (known: {', '.join(names)})"
        command, rest = command.get_command(context, rest[0]), rest[1:]
    known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)} | {"--help"}
    return [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]


@each_page
def test_options_of_commands_exist(page):
    """Every command line of a page names a command, and only options that the command has."""
    wrong = {" ".join(words): unknown for words in commands_of(page.read_text()) if (unknown := unknown_options(words))}
    assert not wrong


def all_options(command=cli):
    """Return the options of a command and of all below it."""
    found = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)} | {"--help"}
    context = command.make_context("natdeploy", [], resilient_parsing=True)
    below = command.list_commands(context) if hasattr(command, "list_commands") else []
    return found.union(*(all_options(command.get_command(context, name)) for name in below))


@each_page
def test_options_in_prose_exist(page):
    """Every option that a page names on its own is one of natdeploy's, or of a program that is known here."""
    spans = _SPAN.findall(_FENCE.sub("", page.read_text()))
    named = {re.match(r"--[\w-]+", span).group() for span in spans if re.match(r"--\w", span)}
    assert not sorted(named - all_options() - OTHER_PROGRAMS)


@each_page
def test_files_exist(page):
    """Every file or folder of the repository that a page names is there."""
    spans = {span.partition(" ")[0] for span in _SPAN.findall(page.read_text())}
    named = {span for span in spans if span.split("/")[0] in _FOLDERS and "/" in span and not set(span) & set("<>*{")}
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]


@each_page
def test_python_names_exist(page):
    """Every dotted name below `natdeploy` that a page names can be imported."""
    named = {span for span in _SPAN.findall(page.read_text()) if re.fullmatch(r"natdeploy(\.\w+)+(?<!\.toml)", span)}
    assert not [name for name in sorted(named) if not importable(name)]


def importable(name):
    """Tell whether a dotted name is a module or something in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_commands_are_found():
    """Commands are found in fenced blocks over several lines, in indented lines and in spans; options are looked up."""
    text = "```console\n$ natdeploy search --seed 1 \\\n    --nope  # comment\n```\n\n"
    text += "    natdeploy report RUN\n\n`natdeploy doctor`"
    search, *others = commands_of(text)
    assert search == ["natdeploy", "search", "--seed", "1", "--nope"]
    assert others == [["natdeploy", "report", "RUN"], ["natdeploy", "doctor"]]
    assert unknown_options(search) == ["--nope"]
