"""Hook of mkdocs: replaces `<!-- generated: NAME -->` in a page by what the code says.

Command line, presets, search spaces, devices and exit codes are therefore never written by hand.
"""

from __future__ import annotations

import dataclasses
import html
import inspect
import itertools
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import griffe

if TYPE_CHECKING:
    from natdeploy.core.space import SearchSpace

_MARKER = re.compile(r"<!-- generated: (?P<name>[a-z-]+) -->")
_DEVICES = Path(__file__).parents[2] / "profilers" / "devices"


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill the markers of a page; an unknown one is a `KeyError`, which ends the build."""
    return _MARKER.sub(lambda found: GENERATORS[found["name"]](), markdown)


def command_line() -> str:
    """Return every command with its usage, arguments and options."""
    from natdeploy.cli.group import cli

    root = click.Context(cli, info_name="natdeploy", **cli.context_settings)
    return "\n\n".join(_command_section(ctx) for ctx in walk_commands(root))


def walk_commands(ctx: click.Context) -> Iterator[click.Context]:
    """Yield a context for each command below `ctx`, groups before what is in them."""
    group = ctx.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is None:
            msg = f"{ctx.command_path} lists {name!r} and has no such command"
            raise LookupError(msg)
        below = click.Context(command, info_name=name, parent=ctx)
        yield below
        yield from walk_commands(below)


def presets() -> str:
    """Return a table of every value of each preset, and what each value means."""
    from natdeploy.api.searching.presets import PRESETS

    values = {name: dict(flatten(preset)) for name, preset in PRESETS.items()}
    meant = meanings(next(iter(PRESETS.values())))
    # The name of a preset heads its column.
    for about in (*values.values(), meant):
        del about["name"]
    names = list(next(iter(values.values())))
    rows = [[f"`{name}`", *(_shown(preset[name]) for preset in values.values())] for name in names]
    table = _table(["value", *values], rows)
    return f"{table}\n\n## What each value means\n\n{_pairs(['value', 'meaning'], meant)}"


def flatten(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield name and value of each field of a dataclass, those of dataclasses in it in their place."""
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            yield from flatten(inner)
        else:
            yield field.name, inner


def meanings(value: Any) -> dict[str, str]:  # noqa: ANN401
    """Return what the docstrings say of each field of a dataclass, and of those of dataclasses in it."""
    found: dict[str, str] = {}
    described = _arguments(type(value))
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            found |= meanings(inner)
        else:
            found[field.name] = described[field.name]
    return found


def spaces() -> str:
    """Return two tables of every search space: its sizes, and the choices of its blocks."""
    from natdeploy.io.spaces import shipped_spaces

    found = shipped_spaces()
    sizes = [[f"`{s.name}`", _list(s.widths), _sizes(s.resolutions), f"{s.size:.1e}"] for s in found]
    layers = [[f"`{s.name}`", *(_by_stage(values) for values in _list_choices(s))] for s in found]
    return "\n\n".join(
        [
            _table(["space", "widths", "resolutions", "architectures"], sizes),
            _table(["space", "blocks of a stage", "kernel sizes", "expand ratios"], layers),
        ]
    )


def _list_choices(space: SearchSpace) -> tuple[list[str], list[str], list[str]]:
    """Return the depths, the kernel sizes and the expand ratios of each stage of a space."""
    return (
        [_list(stage.depths) for stage in space.stages],
        [_list(stage.kernels) for stage in space.stages],
        ["; ".join(dict.fromkeys(_list(ratios) for ratios in stage.expand_ratios)) for stage in space.stages],
    )


def _by_stage(values: Sequence[str]) -> str:
    """Return the values of the stages: one if all are the same, otherwise each behind its stages."""
    if len(set(values)) == 1:
        return values[0]
    return "<br>".join(
        f"stages {', '.join(str(number) for number, own in enumerate(values, start=1) if own == value)}: {value}"
        for value in dict.fromkeys(values)
    )


def devices() -> str:
    """Return a table of the shipped devices, and their processors."""
    shipped = _read_devices()
    rows = [
        [
            f"`{name}`",
            keys["kind"],
            f"{keys['runtime']} {keys['precision']}, {keys['threads']} thread" + "s" * (keys["threads"] > 1),
            keys["transport"],
            _shown("roofline" in keys),
        ]
        for name, keys in shipped.items()
    ]
    table = _table(["device", "kind", "default", "over", "estimates"], rows)
    return f"{table}\n\n{_pairs(['device', 'processor'], {name: keys['chip'] for name, keys in shipped.items()})}"


def exit_codes() -> str:
    """Return a table of the exit codes."""
    kinds = sorted(_error_classes(), key=lambda kind: kind.exit_code)
    codes = dict.fromkeys(kind.exit_code for kind in kinds)
    rows = [["0", "done"]]
    rows += [[str(code), " ".join(_summary(kind) for kind in kinds if kind.exit_code == code)] for code in codes]
    return _table(["exit code", "meaning"], rows)


def error_codes() -> str:
    """Return a table of the error codes of `--json`."""
    rows = [
        [f"`{kind.code}`", str(kind.exit_code), f"`{kind.__name__}`"]
        for kind in sorted(_error_classes(), key=lambda kind: (kind.exit_code, kind.code))
    ]
    return _table(["code", "exit code", "exception"], rows)


def device_sources() -> str:
    """Return where the figures of each shipped device that can be estimated come from."""
    sources = {name: keys["source"] for name, keys in _read_devices().items() if "roofline" in keys}
    return _pairs(["device", "its figures"], sources)


GENERATORS: Mapping[str, Callable[[], str]] = {
    "command-line": command_line,
    "presets": presets,
    "spaces": spaces,
    "devices": devices,
    "device-sources": device_sources,
    "exit-codes": exit_codes,
    "error-codes": error_codes,
}


def _command_section(ctx: click.Context) -> str:
    command = ctx.command
    level = "#" * ctx.command_path.count(" ")
    usage = ctx.get_usage().removeprefix("Usage: ")
    parts = [f"#{level} {ctx.command_path}", f"```text\n{usage}\n```", _help(command.help or "")]
    if not isinstance(command, click.Group):
        records = [parameter.get_help_record(ctx) for parameter in command.get_params(ctx)]
        options = {name.replace(" RANGE", ""): _escaped(text) for name, text in filter(None, records)}
        parts.append(_pairs(["option", "meaning"], options))
    return "\n\n".join(parts)


def _help(text: str) -> str:
    r"""Return the help of a command; a paragraph behind `\b`, which click prints as it is, becomes a code block."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(_code(part[1:]) if part.startswith("\b") else _escaped(part) for part in paragraphs)


def _code(text: str) -> str:
    return f"```bash\n{textwrap.dedent(text.strip())}\n```"


def _escaped(text: str) -> str:
    """Escape what Markdown would read as markup, except in backticks."""
    parts = text.split("`")
    plain = [re.sub(r"([*_|])", r"\\\1", html.escape(part, quote=False)) for part in parts[::2]]
    return "`".join(part for pair in itertools.zip_longest(plain, parts[1::2]) for part in pair if part is not None)


def _error_classes() -> list[type[Any]]:
    from natdeploy.errors import NatdeployError

    found, waiting = [], list(NatdeployError.__subclasses__())
    while waiting:
        kind = waiting.pop(0)
        if kind.__module__ == NatdeployError.__module__:
            found.append(kind)
        waiting += kind.__subclasses__()
    return found


def _summary(kind: type[Any]) -> str:
    return inspect.getdoc(kind).split("\n\n")[0].replace("\n", " ")  # type: ignore[union-attr]


def _arguments(kind: type[Any]) -> dict[str, str]:
    sections = griffe.Docstring(inspect.getdoc(kind) or "", parser="google").parse(warnings=False)
    return {
        argument.name: " ".join(argument.description.split())
        for section in sections
        if section.kind is griffe.DocstringSectionKind.parameters
        for argument in section.value
    }


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _read_devices() -> dict[str, dict[str, Any]]:
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(_DEVICES.glob("*.toml"))}


def _pairs(heads: Sequence[str], entries: Mapping[str, str]) -> str:
    return _table(heads, [[f"`{name}`", text] for name, text in entries.items()])


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _list(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _sizes(values: Sequence[int]) -> str:
    """Return sizes as `192 to 256 in steps of 4` where they have one step and are many."""
    step = values[1] - values[0] if len(values) > 1 else 0
    even = list(values) == list(range(values[0], values[-1] + 1, step or 1))
    return f"{values[0]} to {values[-1]} in steps of {step}" if even and len(values) > 4 else _list(values)
