"""Where latency tables are stored, and which of them a command means."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from natdeploy.core.device import DEFAULT_TABLE, Deployment, Device, TableSelector, find_deployment
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.io.home import home_folder
from natdeploy.io.tables import read_table

FOLDER = "latency_tables"
_FILE_NAME = re.compile(
    r"(?P<runtime>[a-z]+)-(?P<precision>[a-z0-9]+)-b(?P<batch>[1-9][0-9]*)-t(?P<threads>[1-9][0-9]*)\.csv"
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StoredTable:
    """The file of a table, not yet read.

    Args:
        path: The file.
        deployment: What the table is of, from the file's folder and name.
        packaged: Whether the table comes with natdeploy.
    """

    path: Path
    deployment: Deployment
    packaged: bool

    def read(self) -> LatencyTable:
        """Read the table.

        Raises:
            InputError: The file is not a valid table, or its header names another deployment than its folder and name.
        """
        table = read_table(self.path)
        contradiction = find_contradiction(self.path, table.deployment)
        if contradiction is not None:
            msg = f"{self.path}: {contradiction}"
            raise InputError(msg)
        return table


def find_contradiction(path: Path, deployment: Deployment) -> str | None:
    """Return how the deployment in a table's header contradicts the name of its file; None if it does not.

    A file whose name is not that of a stored table says nothing. Its folder only counts among stored tables.
    """
    named = _read_name(path)
    if named is None:
        return None
    if path.parent.parent.name != FOLDER:
        named = dataclasses.replace(named, device=deployment.device)
    if named == deployment:
        return None
    return f"the header says {deployment}, the file's folder and name say {named}"


def table_path(deployment: Deployment) -> Path:
    """Return the path of the user's own table of `deployment`, whether it exists or not."""
    return home_folder() / FOLDER / deployment.device / deployment.file_name


def list_tables(device: str | None = None) -> list[StoredTable]:
    """Return every table, or every table of one device; the user's own replaces the packaged one of its deployment.

    Raises:
        InputError: A folder of tables cannot be read.
    """
    tables, problems = scan_tables()
    for error in problems.values():
        raise error
    return [stored for stored in tables if device in (None, stored.deployment.device)]


def scan_tables() -> tuple[list[StoredTable], dict[Path, InputError]]:
    """Return every table, as `list_tables` does, and an error for each folder that cannot be read."""
    problems: dict[Path, InputError] = {}
    with resources.as_file(resources.files("natdeploy") / FOLDER) as packaged:
        found = {stored.deployment: stored for stored in _tables_in(packaged, problems, packaged=True)}
    own = home_folder() / FOLDER
    found |= {stored.deployment: stored for stored in _tables_in(own, problems, packaged=False)}
    return sorted(found.values(), key=lambda stored: (stored.deployment.device, stored.deployment.file_name)), problems


def find_table(deployment: Deployment) -> StoredTable | None:
    """Return the table of this deployment, None if there is none."""
    return next((stored for stored in list_tables(deployment.device) if stored.deployment == deployment), None)


def choose_table(
    device: Device, selector: TableSelector = DEFAULT_TABLE, space: SearchSpace | None = None
) -> StoredTable:
    """Return the table of a device that a selector means.

    What the selector leaves open is the device's default. If there is no table of that, and only one table fits the
    selector, it is this one.

    Args:
        device: The device.
        selector: Which of its tables is meant.
        space: Space that the table is for, which the hint then names.

    Raises:
        InputError: No table fits, or several do; the message lists the tables of the device.
    """
    wanted = find_deployment(device, selector)
    tables = list_tables(device.name)
    fitting = [stored for stored in tables if selector.matches(stored.deployment)]
    exact = [stored for stored in fitting if stored.deployment == wanted]
    if exact:
        return exact[0]
    if len(fitting) == 1:
        return fitting[0]
    known = "; ".join(str(stored.deployment) for stored in tables) or "none"
    msg = f"there is no latency table of {wanted}; tables of {device.name}: {known}"
    of_space = "" if space is None else f" --supernet {shlex.quote(space.source or space.name)}"
    raise InputError(msg, hint=f"make one with: natdeploy profile --device {shlex.quote(device.name)}{of_space}")


def _tables_in(folder: Path, problems: dict[Path, InputError], *, packaged: bool) -> Iterator[StoredTable]:
    for device in _list_folder(folder, problems):
        for path in _list_folder(device, problems) if device.is_dir() else ():
            deployment = _read_name(path)
            if deployment is not None:
                yield StoredTable(path=path, deployment=deployment, packaged=packaged)


def _list_folder(folder: Path, problems: dict[Path, InputError]) -> list[Path]:
    """Return what is in a folder; nothing if there is none, or if it cannot be read, which is then a problem."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        if not isinstance(error, FileNotFoundError) or folder.is_symlink():
            msg = f"{folder}: the folder of latency tables cannot be read: {error.strerror}"
            problems[folder] = InputError(msg, hint="mend it, or set NATDEPLOY_HOME to another folder")
        return []


def _read_name(path: Path) -> Deployment | None:
    """Return the deployment that the folder and the name of a stored table say."""
    parts = _FILE_NAME.fullmatch(path.name)
    if parts is None:
        return None
    return Deployment(
        device=path.parent.name,
        runtime=parts["runtime"],
        precision=parts["precision"],
        batch=int(parts["batch"]),
        threads=int(parts["threads"]),
    )


def resolve_table_file(output: Path | None, deployment: Deployment) -> Path:
    """Return the file that a table is written to: `output`, a file within it if it is a folder, else the user's own.

    A path that does not exist yet is a file if it ends in `.csv`, and a folder otherwise.
    """
    if output is None:
        return table_path(deployment)
    if output.is_dir() or (output.suffix != ".csv" and not output.exists()):
        return output / deployment.device / deployment.file_name
    return output
