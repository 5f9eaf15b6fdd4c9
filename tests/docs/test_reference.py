"""What the pages say is what the code says."""

import dataclasses
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from natdeploy import api
from natdeploy.api.searching.presets import PRESETS
from natdeploy.core.timed import Disturbance
from natdeploy.errors import NatdeployError
from natdeploy.export import manifest
from natdeploy.export.parity import Parity
from natdeploy.io import devices, subnet_keys, table_header
from natdeploy.io.spaces import find_space, list_spaces
from natdeploy.io.tables import COLUMNS, OPTIONAL_COLUMNS
from natdeploy.profilers.references import Reference, choose_reference_place

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """The hook of mkdocs that fills the generated parts."""
    spec = importlib.util.spec_from_file_location("reference_hook", DOCS / "hooks" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def commands(hook: ModuleType) -> dict[str, click.Command]:
    """Every command by its path, such as `natdeploy tables show`."""
    from natdeploy.cli.group import cli

    root = click.Context(cli, info_name="natdeploy")
    return {ctx.command_path: ctx.command for ctx in hook.walk_commands(root)}


def test_presets_are_listed_with_every_value(hook: ModuleType) -> None:
    """The page on presets has a column for each preset, and a row and a meaning for each of its values."""
    tables = [_rows(part) for part in hook.presets().split("## What each value means")]
    assert tables[0][0] == ["value", *PRESETS]
    values = {row[0].strip("`"): row[1:] for row in tables[0][2:]}
    meanings = {row[0].strip("`"): row[1] for row in tables[1][2:]}
    assert list(values) == list(meanings) == [name for name, _ in hook.flatten(PRESETS["quick"]) if name != "name"]
    for column, preset in enumerate(PRESETS.values()):
        for name, value in hook.flatten(preset):
            assert name == "name" or _means(values[name][column], value), name
    assert all(meanings.values())


def test_composed_dataclasses_are_listed_value_by_value(hook: ModuleType) -> None:
    """Values and meanings of a dataclass inside another one take the place of the field that holds it."""

    @dataclasses.dataclass(frozen=True)
    class Inner:
        """Inside.

        Args:
            depth: How deep it is.
        """

        depth: int

    @dataclasses.dataclass(frozen=True)
    class Outer:
        """Outside.

        Args:
            inner: What is inside.
            width: How wide
                it is.
        """

        inner: Inner
        width: float

    value = Outer(inner=Inner(depth=3), width=0.5)
    assert list(hook.flatten(value)) == [("depth", 3), ("width", 0.5)]
    assert hook.meanings(value) == {"depth": "How deep it is.", "width": "How wide it is."}


def test_the_command_line_lists_every_option(hook: ModuleType, commands: dict[str, click.Command]) -> None:
    """Each command has a section, and each of its options a row in it."""
    sections = re.split(r"^##+ ", hook.command_line(), flags=re.MULTILINE)
    listed = {section.split("\n", 1)[0]: section for section in sections if section.strip()}
    assert set(listed) == set(commands)
    for path, command in commands.items():
        for option in (parameter for parameter in command.params if isinstance(parameter, click.Option)):
            assert all(flag in listed[path] for flag in [*option.opts, *option.secondary_opts]), (path, option.name)


def test_exit_codes_and_error_codes_are_those_of_the_error_classes(hook: ModuleType) -> None:
    """Every error class of natdeploy is listed with its code and its exit code."""
    listed = {row[0].strip("`"): row[1:] for row in _rows(hook.error_codes())[2:]}
    exit_codes = [row[0] for row in _rows(hook.exit_codes())[2:]]
    for kind in _leaves(NatdeployError):
        assert listed[kind.code] == [str(kind.exit_code), f"`{kind.__name__}`"]
        assert str(kind.exit_code) in exit_codes


def test_spaces_and_devices_are_listed(hook: ModuleType) -> None:
    """Every search space and every shipped device has a row."""
    for table in hook.spaces().split("\n\n"):
        assert {row[0].strip("`") for row in _rows(table)[2:]} == set(list_spaces())
    shipped = {path.stem for path in (DOCS.parent / "profilers" / "devices").glob("*.toml")}
    assert {row[0].strip("`") for row in _rows(hook.devices().split("\n\n", maxsplit=1)[0])[2:]} == shipped


def test_an_unknown_marker_ends_the_build(hook: ModuleType) -> None:
    """A page that asks for something that is not generated fails instead of staying empty."""
    assert hook.on_page_markdown("a <!-- generated: spaces --> b").startswith("a | space |")
    with pytest.raises(KeyError):
        hook.on_page_markdown("<!-- generated: species -->")


def test_benchmarks_that_pages_name_exist() -> None:
    """Every benchmark that a page gives as the command behind its figures is in the repository."""
    named = {name for page in DOCS.rglob("*.md") for name in re.findall(r"benchmarks/\w+\.py", page.read_text())}
    assert named
    assert not [name for name in sorted(named) if not (DOCS.parent / name).is_file()]


def test_every_public_name_of_the_api_has_one_place() -> None:
    """Each name that `natdeploy.api` exports stands on exactly one page of the reference."""
    pages = "\n".join(path.read_text() for path in (DOCS / "reference" / "python").glob("*.md"))
    listed = re.findall(r"^::: natdeploy\.api\.(\w+)$", pages, re.MULTILINE)
    own = {name for name in api.__all__ if getattr(api, name).__module__ != "natdeploy.errors"}
    assert sorted(listed) == sorted(own)


def test_keys_of_device_descriptions_are_documented() -> None:
    """The page on devices has a row for every key that a description may have, and for no other."""
    text = (DOCS / "reference" / "devices.md").read_text()
    described, roofline = (
        _first_column(part) for part in text.split("## Keys of a description")[1].split("## ")[0].split("The table `")
    )
    known = {*devices._DeviceKeys.model_fields, "like"} - {"roofline"}
    assert described - {"[NAME.roofline]"} == known
    assert roofline == set(devices._RooflineKeys.model_fields)


def test_keys_and_columns_of_latency_tables_are_documented() -> None:
    """The page on latency tables has a row for every header key and every column."""
    text = _format_page("latency-table")
    header, columns = text.split("## Header")[1].split("## Columns")
    models = (table_header._HeaderKeys, table_header._ValidationKeys, table_header._CalibrationKeys)
    reference = Reference(place=choose_reference_place(find_space("starter")), latency_ms=1.0).to_conditions()[
        "reference"
    ]
    disturbance = {field.name for field in dataclasses.fields(Disturbance)}
    keys = {name for model in models for name in model.model_fields}
    assert _first_column(header) == keys | set(reference) | disturbance
    assert _first_column(columns.split("## ")[0]) == {*COLUMNS, *OPTIONAL_COLUMNS}


def test_keys_of_subnets_are_documented() -> None:
    """The page on subnets has a row for every key of the file and of its architecture."""
    file, architecture = _format_page("subnet").split("| key of `architecture`")
    assert _first_column(file) == set(subnet_keys.SubnetFile.model_fields)
    # `wid` is read for Once-for-All's files, where it is always null.
    assert _first_column(architecture.split("## ")[0]) == set(subnet_keys.ArchitectureKeys.model_fields) - {"wid"}


def test_keys_of_manifests_are_documented(tmp_path: Path) -> None:
    """The page on manifests has a row for every key of a manifest and of its comparison."""
    (tmp_path / "net.onnx").write_bytes(b"content")
    text = manifest.format_manifest(
        tmp_path / "net.onnx",
        tmp_path / "net.onnx",
        format_name="onnx",
        description=manifest.Description(subnet="subnet.json"),
        written={"input": {}, "output": {}, "versions": {}},
        tools={},
        parity=Parity.not_run("no images"),
        latency=None,
    )
    keys = json.loads(text)
    whole, parity = _format_page("manifest").split("| key of `parity`")
    assert _first_column(whole) == set(keys)
    assert _first_column(parity) == set(keys["parity"])


def test_events_of_journals_are_documented() -> None:
    """The page on run folders has a row for every kind of event that a run records, and for no other."""
    sources = "\n".join(path.read_text() for path in (DOCS.parent / "natdeploy" / "api").rglob("*.py"))
    recorded = set(re.findall(r"\.record\(\s*\"(\w+)\"", sources))
    listed = _rows(_format_page("run-folder").split("## journal.jsonl")[1])[2:]
    assert recorded
    assert {row[0].strip("`") for row in listed} == recorded


def _format_page(name: str) -> str:
    return (DOCS / "reference" / "file-formats" / f"{name}.md").read_text()


def _rows(table: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]


def _first_column(text: str) -> set[str]:
    cells = [row[0] for row in _rows(text) if not row[0].startswith("key")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def _means(text: str, value: object) -> bool:
    if isinstance(value, bool):
        return text == ("yes" if value else "no")
    return float(text) == value if isinstance(value, int | float) else text == str(value)


def _leaves(kind: type[NatdeployError]) -> Iterator[type[NatdeployError]]:
    for below in kind.__subclasses__():
        if below.__module__ == "natdeploy.errors":
            yield below
        yield from _leaves(below)
