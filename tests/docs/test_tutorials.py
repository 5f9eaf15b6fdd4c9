"""The commands of the tutorials, run as they stand there, on boards and phones that are played by stand-ins."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from natdeploy.cli.group import cli
from tests.support.doc_pages import Command, PageFile, first_missing, read_page
from tests.support.ssh_server import ADDRESS, SshServer, ssh_server, write_program
from tests.support.stand_ins import write_adb_stand_in, write_quick_benchmark_model, write_stand_in

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
PAGES = sorted(path.stem for path in TUTORIALS.glob("*.md") if path.stem != "index")
SYSTEM = "/usr/local/bin:/usr/bin:/bin"
# Commands of natdeploy on a page.
FEWEST = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Desk:
    """Where a reader sits: a folder to work in, a home, and devices within reach.

    Args:
        work: Current directory.
        home: Home; natdeploy's data folder lies in it.
        environment: Environment of the commands.
        board: The ssh server that plays every board.
    """

    work: Path
    home: Path
    environment: dict[str, str]
    board: SshServer

    def run(self, command: Command) -> subprocess.CompletedProcess[str]:
        """Run a command as a shell does, standard error among its output."""
        return subprocess.run(
            ["bash", "-c", command.text],
            cwd=self.work,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
            check=False,
        )

    def save(self, file: PageFile) -> None:
        """Write a file of a page; what it says of a board's address and Python is brought to the stand-in's."""
        stand_ins = {
            "pi@raspberrypi.local": ADDRESS,
            "me@nano.local": ADDRESS,
            "/home/pi/venv/bin/python": sys.executable,
        }
        content = file.content
        for there, here in stand_ins.items():
            content = content.replace(there, here)
        folder = Path(self.environment["NATDEPLOY_HOME"]) if file.name == "devices.toml" else self.work
        (folder / file.name).write_text(content, encoding="utf-8")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk with the folder's short searches, photos, a board behind ssh with Python and trtexec, and a phone."""
    work, home, board, phone = (tmp_path / name for name in ("work", "home", "board", "phone"))
    for folder in (work, home / "natdeploy", board / "programs", board / "tmp", phone):
        folder.mkdir(parents=True)
    draw_photos(work / "photos")
    (short,) = [step for step in read_page(TUTORIALS / "index.md") if isinstance(step, PageFile)]
    (work / short.name).write_text(short.content, encoding="utf-8")
    write_stand_in(board / "programs" / "trtexec", "trtexec")
    write_quick_benchmark_model(phone)
    there = {"PATH": f"{board / 'programs'}:{SYSTEM}", "TMPDIR": str(board / "tmp"), "XDG_CACHE_HOME": str(board)}
    keys = tmp_path / "keys"
    keys.mkdir()
    with ssh_server(keys, there) as server:
        programs = keys / "bin"
        write_program(programs / "natdeploy", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m natdeploy "$@"\n')
        write_adb_stand_in(programs / "adb", phone, "SERIAL1\\tdevice")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("NATDEPLOY_")},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(home),
            "NATDEPLOY_HOME": str(home / "natdeploy"),
        }
        yield Desk(work=work, home=home, environment=environment, board=server)


def parse(line: str) -> click.Context:
    """Parse a command line of natdeploy as the program does, without running it."""
    command: click.Command | None = cli
    names, words = ["natdeploy"], shlex.split(line)[1:]
    while isinstance(command, click.Group):
        group = click.Context(command, info_name=names[-1])
        names.append(words.pop(0))
        command = command.get_command(group, names[-1])
    assert command is not None, line
    return command.make_context(" ".join(names), words)


@pytest.mark.parametrize("page", PAGES)
def test_the_command_lines_of_a_tutorial_can_be_parsed(page: str) -> None:
    """Every command of natdeploy on the page is one, with options, values and arguments that it takes."""
    commands = [step for step in read_page(TUTORIALS / f"{page}.md") if isinstance(step, Command)]
    lines = [command.text for command in commands if command.text.startswith("natdeploy ")]
    assert len(lines) >= FEWEST
    for line in lines:
        assert line.startswith(str(parse(line).info_name))


def test_an_unknown_option_is_not_parsed() -> None:
    """What a command does not take is refused by `parse`."""
    with pytest.raises(click.UsageError, match="--nope"):
        parse("natdeploy tables show host --nope")


def test_a_page_is_read_as_commands_with_their_output(tmp_path: Path) -> None:
    """Continued lines are one command, output and exit code are of a block's last one, and titled blocks are files."""
    path = tmp_path / "page.md"
    path.write_text(
        "```text\nno output\n```\n"
        "<!-- exits 4 -->\n```bash\none \\\n    two\nthree\n```\n\n```text\nsaid 1\n...\n```\n\n"
        '<!-- not run: no board -->\n```bash\nfour\n```\n\n```toml title="a.toml"\nb = 1\n```\n',
        encoding="utf-8",
    )
    one, three, four, file = read_page(path)
    assert isinstance(one, Command)
    assert (one.text.split(), one.shown, one.exit_code, one.not_run) == (["one", "two"], (), 0, "")
    assert isinstance(three, Command)
    assert isinstance(four, Command)
    assert (three.text, three.shown, three.exit_code) == ("three", ("said 1", "..."), 4)
    assert (four.text, four.exit_code, four.not_run, four.place) == ("four", 0, "no board", "page.md:17")
    assert file == PageFile(name="a.toml", content="b = 1\n")


def test_shown_lines_must_be_printed_in_their_order() -> None:
    """Numbers and the width of columns may differ from the page, words and order may not."""
    output = "host  0.5 ms\nother\nfront of 12 architectures\n"
    assert first_missing(("host 12.25 ms", "...", "front of 4 architectures"), output) is None
    assert first_missing(("front of 4 architectures", "host 0.5 ms"), output) == "host 0.5 ms"
    assert first_missing(("host 0.5 s",), output) == "host 0.5 s"


def draw_photos(folder: Path, classes: int = 3, each: int = 12) -> None:
    """Write pictures of classes that differ in colour, into `folder`/CLASS/."""
    rng = np.random.default_rng(0)
    for number in range(classes):
        place = folder / f"class-{number}"
        place.mkdir(parents=True)
        for image in range(each):
            pixels = rng.integers(0, 80, (60, 80, 3), dtype=np.uint8)
            pixels[..., number % 3] += 120
            Image.fromarray(pixels).save(place / f"{image}.jpg")


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.device
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_does_what_it_says(page: str, desk: Desk) -> None:
    """Every command of the page ends with the exit code that the page promises, and prints the lines that it shows."""
    ran = 0
    for step in read_page(TUTORIALS / f"{page}.md"):
        if isinstance(step, PageFile):
            desk.save(step)
        elif not step.not_run:
            done = desk.run(step)
            told = f"{step.place}: {step.text}\n{done.stdout}"
            assert done.returncode == step.exit_code, told
            assert "Traceback" not in done.stdout, told
            missing = first_missing(step.shown, done.stdout)
            assert missing is None, f"the page shows a line that was not printed: {missing}\n{told}"
            ran += step.text.startswith("natdeploy ")
    assert ran >= FEWEST, f"{page}.md: {ran} commands of natdeploy were run"
    assert shutil.which("natdeploy", path=desk.environment["PATH"]) == str(desk.board.folder / "bin" / "natdeploy")
