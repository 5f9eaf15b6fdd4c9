"""Device descriptions: those that natdeploy ships, and the user's own in `devices.toml`."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from natdeploy.core.device import PRECISIONS, RUNTIMES, Device, Roofline, Target
from natdeploy.errors import InputError
from natdeploy.files import read_text
from natdeploy.io.home import home_folder

USER_FILE = "devices.toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, le=1)]
_Precision = Literal["fp32", "fp16", "int8"]


class _RooflineKeys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    peak_gmadds: dict[_Precision, _Positive] = Field(min_length=1)
    bandwidth_gb_s: _Positive
    efficiency: dict[Literal["dense", "depthwise"], _Share] = Field(min_length=2)
    operator_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _DeviceKeys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["mobile-cpu", "jetson-gpu", "server-cpu", "server-gpu"]
    chip: str = Field(min_length=1)
    memory_gb: _Positive | None = None
    runtime: Literal["onnxruntime", "litert", "tensorrt"]
    precision: _Precision
    threads: int = Field(ge=1)
    transport: Literal["local", "ssh", "adb"]
    address: str | None = None
    max_opset: int | None = Field(default=None, ge=7)
    roofline: _RooflineKeys | None = None
    source: str = ""


def load_devices() -> dict[str, Device]:
    """Return every known device by its name, sorted.

    What the user's file says of a shipped device replaces the keys that it names, no others.

    Raises:
        InputError: A description is not valid; the message names file, device and key.
    """
    described = {path.stem: (path, _parse(path)) for path in _shipped()}
    user_file = home_folder() / USER_FILE
    if user_file.exists():
        for name, keys in _user_tables(user_file):
            _, known = described.get(name, (user_file, {}))
            described[name] = (user_file, {**known, **keys})
    return {name: _device(path, name, keys) for name, (path, keys) in sorted(described.items())}


def find_device(name: str) -> Device:
    """Return the device called `name`.

    Raises:
        InputError: There is none; the hint names the nearest.
    """
    devices = load_devices()
    if name in devices:
        return devices[name]
    near = difflib.get_close_matches(name, devices, n=1, cutoff=0.4)
    msg = f"unknown device {name!r} (known: {', '.join(devices)})"
    hint = f"did you mean {near[0]!r}?" if near else f"describe it in {home_folder() / USER_FILE}"
    raise InputError(msg, hint=hint)


def target_of(
    device: Device,
    *,
    runtime: str | None = None,
    precision: str | None = None,
    batch: int | None = None,
    threads: int | None = None,
) -> Target:
    """Return the target that the options name; what they leave open is the device's default.

    Raises:
        InputError: The runtime or the precision is unknown, or a number is below 1.
    """
    for what, value, known in (("runtime", runtime, RUNTIMES), ("precision", precision, PRECISIONS)):
        if value is not None and value not in known:
            near = difflib.get_close_matches(value, known, n=1, cutoff=0.4)
            msg = f"unknown {what} {value!r} (known: {', '.join(known)})"
            raise InputError(msg, hint=f"did you mean {near[0]!r}?" if near else None)
    for what, number in (("batch", batch), ("threads", threads)):
        if number is not None and number < 1:
            msg = f"{what} is {number}: it must be 1 at least"
            raise InputError(msg)
    return Target(
        device=device.name,
        runtime=runtime or device.runtime,
        precision=precision or device.precision,
        batch=batch or 1,
        threads=threads or device.threads,
    )


def _shipped() -> Iterator[Path]:
    folder = resources.files("natdeploy") / "profilers" / "devices"
    with resources.as_file(folder) as path:
        yield from sorted(path.glob("*.toml"))


def _user_tables(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, keys in _parse(path).items():
        if not isinstance(keys, dict):
            msg = f"{path}: {name!r} is not in a table; a device begins with a line like [my-board]"
            raise InputError(msg)
        if not _NAME.fullmatch(name):
            msg = f"{path}: {name!r} is not a device name: use letters, digits, '.', '_' and '-'"
            raise InputError(msg)
        yield name, keys


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: not valid TOML: {error}"
        raise InputError(msg) from error


def _device(path: Path, name: str, keys: Mapping[str, Any]) -> Device:
    try:
        model = _DeviceKeys.model_validate(dict(keys))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        msg = f"{path}: device {name!r}, key {key!r}: {first['msg']}"
        raise InputError(msg) from error
    roofline = Roofline(**model.roofline.model_dump()) if model.roofline else None
    return Device(name=name, **model.model_dump(exclude={"roofline"}), roofline=roofline)
