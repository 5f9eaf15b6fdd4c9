"""The devices and latency tables that this machine knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from natdeploy.core.device import Device
from natdeploy.errors import InputError, NatdeployError
from natdeploy.io.devices import scan_devices
from natdeploy.io.table_store import StoredTable, scan_tables


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceTable:
    """A latency table of a device. If its file cannot be read, provenance is None and `problem` says why."""

    runtime: str
    precision: str
    batch: int
    threads: int
    provenance: str | None
    packaged: bool
    problem: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceState:
    """A known device, whether it can be reached, and its latency tables.

    Args:
        name: Name that commands use.
        kind: Class of the device.
        chip: Processor.
        runtime: Default runtime.
        precision: Default precision.
        threads: Default number of threads.
        transport: How it is reached.
        state: `reachable`, `unreachable`, `not connected` (its address is not known), `not checked`, or `damaged` (its
            description, or the file or folder of this name, cannot be read; all else is then None).
        reachable: Whether it can be reached; None if that was not tried.
        problem: Why it cannot be reached or read; None if it can, or if that was not tried.
        tables: Its latency tables.
    """

    name: str
    kind: str | None
    chip: str | None
    runtime: str | None
    precision: str | None
    threads: int | None
    transport: str | None
    state: str
    reachable: bool | None
    problem: str | None
    tables: tuple[DeviceTable, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableState:
    """A latency table on this machine; `problem` says why it cannot be read, if it cannot.

    A folder of tables that cannot be read is listed, too: only its path and the problem are then known.
    """

    device: str | None
    runtime: str | None
    precision: str | None
    batch: int | None
    threads: int | None
    provenance: str | None
    packaged: bool
    rows: int
    mape_percent: float | None
    path: Path
    problem: str | None = None


_CHECK_S = 10.0


def devices(*, check: bool = False) -> tuple[DeviceState, ...]:
    """Return every known device with its state.

    A latency table, a description of a device, a file or a folder that cannot be read is listed with the reason; it
    hides nothing else.

    Args:
        check: Try to reach every device that has an address, all at the same time.
    """
    stored, unread = scan_tables()
    known, damaged = scan_devices()
    asked = [device for device in known.values() if check and device.address is not None]
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        problems = dict(zip((device.name for device in asked), pool.map(_problem, asked), strict=True))
    states = [_device_state(device, _list_own(stored, device.name), problems) for device in known.values()]
    states += [_damaged_state(name, error, _list_own(stored, name)) for name, error in damaged.items()]
    states += [_damaged_state(str(folder), error, ()) for folder, error in unread.items()]
    return tuple(states)


def tables() -> tuple[TableState, ...]:
    """Return every latency table, the user's own and the packaged ones; those that cannot be read say why."""
    stored, unread = scan_tables()
    return (*map(_table_state, stored), *(_unread_state(folder, error) for folder, error in unread.items()))


def _table_state(stored: StoredTable) -> TableState:
    table, problem = None, None
    try:
        table = stored.read()
    except InputError as error:
        problem = error.message
    deployment = stored.deployment
    return TableState(
        device=deployment.device,
        runtime=deployment.runtime,
        precision=deployment.precision,
        batch=deployment.batch,
        threads=deployment.threads,
        provenance=table.provenance if table else None,
        packaged=stored.packaged,
        rows=len(table.rows) if table else 0,
        mape_percent=table.validation.mape_percent if table and table.validation else None,
        path=stored.path,
        problem=problem,
    )


def _unread_state(folder: Path, error: InputError) -> TableState:
    return TableState(
        device=None,
        runtime=None,
        precision=None,
        batch=None,
        threads=None,
        provenance=None,
        packaged=False,
        rows=0,
        mape_percent=None,
        path=folder,
        problem=error.message,
    )


def _list_own(stored: Sequence[StoredTable], device: str) -> list[StoredTable]:
    return [table for table in stored if table.deployment.device == device]


def _problem(device: Device) -> str | None:
    """Return why a device cannot be reached; None if it can."""
    from natdeploy.runtimes.connect import connect

    try:
        connect(device, patience_s=_CHECK_S).close()
    except NatdeployError as error:
        return error.message
    return None


def _device_state(device: Device, stored: Sequence[StoredTable], problems: Mapping[str, str | None]) -> DeviceState:
    state, reachable, problem = "not checked", None, problems.get(device.name)
    if device.name in problems:
        state, reachable = ("reachable", True) if problem is None else ("unreachable", False)
    elif device.transport == "local":
        state, reachable = "reachable", True
    elif device.address is None:
        state, reachable = "not connected", False
    return DeviceState(
        name=device.name,
        kind=device.kind,
        chip=device.chip,
        runtime=device.runtime,
        precision=device.precision,
        threads=device.threads,
        transport=device.transport,
        state=state,
        reachable=reachable,
        problem=problem,
        tables=tuple(map(_device_table, stored)),
    )


def _damaged_state(name: str, error: InputError, stored: Sequence[StoredTable]) -> DeviceState:
    return DeviceState(
        name=name,
        kind=None,
        chip=None,
        runtime=None,
        precision=None,
        threads=None,
        transport=None,
        state="damaged",
        reachable=None,
        problem=error.message,
        tables=tuple(map(_device_table, stored)),
    )


def _device_table(stored: StoredTable) -> DeviceTable:
    provenance, problem = None, None
    try:
        provenance = stored.read().provenance
    except InputError as error:
        problem = error.message
    deployment = stored.deployment
    return DeviceTable(
        runtime=deployment.runtime,
        precision=deployment.precision,
        batch=deployment.batch,
        threads=deployment.threads,
        provenance=provenance,
        packaged=stored.packaged,
        problem=problem,
    )
