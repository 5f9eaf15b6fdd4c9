"""Where latency tables lie, and which of them is meant."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from natdeploy.core.device import Device, Target
from natdeploy.core.latency import LatencyTable
from natdeploy.errors import InputError
from natdeploy.io.devices import target_of
from natdeploy.io.home import home_folder
from natdeploy.io.tables import read_table

FOLDER = "latency_tables"
_FILE_NAME = re.compile(
    r"(?P<runtime>[a-z]+)-(?P<precision>[a-z0-9]+)-b(?P<batch>[1-9][0-9]*)-t(?P<threads>[1-9][0-9]*)\.csv"
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StoredTable:
    """A table's file, not yet read.

    Args:
        path: The file.
        target: What it is a table of, as its place says.
        packaged: Whether natdeploy ships it.
    """

    path: Path
    target: Target
    packaged: bool

    def read(self) -> LatencyTable:
        """Read the table.

        Raises:
            InputError: The file is not a valid table, or not one of the target that its place stands for.
        """
        table = read_table(self.path)
        if table.target != self.target:
            msg = f"{self.path}: the header says {table.target}, the file's place {self.target}"
            raise InputError(msg)
        return table


def table_path(target: Target) -> Path:
    """Return where the user's own table of `target` lies, whether it exists or not."""
    return home_folder() / FOLDER / target.device / target.file_name


def list_tables(device: str | None = None) -> list[StoredTable]:
    """Return every table, or those of one device; the user's own stand before packaged ones of the same target."""
    with resources.as_file(resources.files("natdeploy") / FOLDER) as packaged:
        found = {stored.target: stored for stored in _tables_in(packaged, packaged=True)}
    found |= {stored.target: stored for stored in _tables_in(home_folder() / FOLDER, packaged=False)}
    tables = [stored for stored in found.values() if device in (None, stored.target.device)]
    return sorted(tables, key=lambda stored: (stored.target.device, stored.target.file_name))


def find_table(target: Target) -> StoredTable | None:
    """Return the table of exactly this target, or None."""
    return next((stored for stored in list_tables(target.device) if stored.target == target), None)


def choose_table(
    device: Device,
    *,
    runtime: str | None = None,
    precision: str | None = None,
    batch: int | None = None,
    threads: int | None = None,
) -> StoredTable:
    """Return the table that the options mean.

    What they leave open is the device's default; where that has no table, a single one that fits the options will do.

    Raises:
        InputError: There is none, or several fit; the message lists the tables of the device.
    """
    wanted = target_of(device, runtime=runtime, precision=precision, batch=batch, threads=threads)
    tables = list_tables(device.name)
    given = {"runtime": runtime, "precision": precision, "batch": batch, "threads": threads}
    fitting = [stored for stored in tables if _fits(stored.target, given)]
    exact = [stored for stored in fitting if stored.target == wanted]
    if exact:
        return exact[0]
    if len(fitting) == 1:
        return fitting[0]
    known = "; ".join(str(stored.target) for stored in tables) or "none"
    msg = f"there is no latency table of {wanted}; tables of {device.name}: {known}"
    raise InputError(msg, hint=f"make one with: natdeploy profile --device {device.name}")


def _fits(target: Target, given: dict[str, str | int | None]) -> bool:
    return all(value is None or getattr(target, name) == value for name, value in given.items())


def _tables_in(folder: Path, *, packaged: bool) -> Iterator[StoredTable]:
    for path in sorted(folder.glob("*/*.csv")):
        parts = _FILE_NAME.fullmatch(path.name)
        if parts is None:
            continue
        target = Target(
            device=path.parent.name,
            runtime=parts["runtime"],
            precision=parts["precision"],
            batch=int(parts["batch"]),
            threads=int(parts["threads"]),
        )
        yield StoredTable(path=path, target=target, packaged=packaged)


def table_file(output: Path | None, target: Target) -> Path:
    """Return the file that a table goes into: `output`, a place in it where it is a folder, else the user's own.

    What is not there yet is a file if it is called `*.csv`, and a folder otherwise.
    """
    if output is None:
        return table_path(target)
    if output.is_dir() or (output.suffix != ".csv" and not output.exists()):
        return output / target.device / target.file_name
    return output
