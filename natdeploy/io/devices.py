"""Device descriptions: those that come with natdeploy, and the user's own in `devices.toml`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from natdeploy.core.device import PRECISIONS, Device, Roofline, RooflineFigures
from natdeploy.documents import read_toml
from natdeploy.errors import InputError, did_you_mean
from natdeploy.io.home import home_folder
from natdeploy.io.validation import find_fault

USER_FILE = "devices.toml"
MAX_OPSET = 40
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, le=1)]
_Precision = Literal["fp32", "fp16", "int8"]
_Operator = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
_TRANSPORTS_WITH = {"address": ("ssh", "adb"), "port": ("ssh",), "python": ("ssh",)}


class _FigureKeys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    bandwidth_gb_s: _Positive
    efficiency: dict[Literal["dense", "pointwise", "depthwise"], _Share] = Field(min_length=3)
    operator_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _RooflineKeys(_FigureKeys):
    peak_gmadds: dict[_Precision, _Positive] = Field(min_length=1)
    fp32: _FigureKeys | None = None
    fp16: _FigureKeys | None = None
    int8: _FigureKeys | None = None

    @field_validator("fp32", "fp16", "int8")
    @classmethod
    def _has_a_peak_rate(cls, value: _FigureKeys | None, info: ValidationInfo) -> _FigureKeys | None:
        if value is not None and info.field_name not in info.data.get("peak_gmadds", {info.field_name}):
            msg = f"peak_gmadds has no rate of {info.field_name}"
            raise _refused(msg)
        return value

    def make_roofline(self) -> Roofline:
        keys = self.model_dump(exclude_none=True)
        own = {name: RooflineFigures(**keys.pop(name)) for name in PRECISIONS if name in keys}
        return Roofline(**keys, own_figures=own)


class _DeviceKeys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["mobile-cpu", "jetson-gpu", "server-cpu", "server-gpu"]
    chip: str = Field(min_length=1)
    models: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    memory_gb: _Positive | None = None
    runtime: Literal["onnxruntime", "litert", "tensorrt"]
    precision: _Precision
    threads: int = Field(ge=1, le=256)
    transport: Literal["local", "ssh", "adb"]
    address: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    program: str | None = None
    python: str | None = None
    tensorrt: str | None = Field(default=None, pattern=r"^[0-9]+(\.[0-9]+)*$")
    max_opset: int | None = Field(default=None, ge=7, le=MAX_OPSET)
    missing_operators: list[_Operator] = Field(default_factory=list)
    slow_precisions: list[_Precision] = Field(default_factory=list)
    roofline: _RooflineKeys | None = None
    source: str = ""

    @field_validator("address", "program", "python")
    @classmethod
    def _is_no_option(cls, value: str | None) -> str | None:
        # These become arguments of ssh and adb, which take everything that begins with a dash for an option.
        if value is not None and (not value.isprintable() or value != value.strip() or value[:1] in {"", "-"}):
            msg = "it is empty, begins with '-', or holds line breaks or outer blanks"
            raise _refused(msg)
        return value

    @field_validator("address", "port", "python")
    @classmethod
    def _fits_the_transport(cls, value: object, info: ValidationInfo) -> object:
        transport = info.data.get("transport")
        if value is not None and transport not in {None, *_TRANSPORTS_WITH[str(info.field_name)]}:
            msg = f"a device behind transport {transport!r} has no {info.field_name}"
            raise _refused(msg)
        return value


def _refused(reason: str) -> PydanticCustomError:
    return PydanticCustomError("device", "{reason}", {"reason": reason})


def load_devices() -> dict[str, Device]:
    """Return every known device by its name, sorted.

    A shipped device that the user's file names keeps all keys that the file does not change. A device that is `like` a
    shipped one has the keys of that one, unless the file changes them.

    Raises:
        InputError: A description is not valid; the message names file, device and key.
    """
    devices, problems = scan_devices()
    for error in problems.values():
        raise error
    return devices


def scan_devices() -> tuple[dict[str, Device], dict[str, InputError]]:
    """Return every device whose description is valid by its name, sorted, and an error for each of the others.

    The errors are by the name of the device, or by the user's file where that cannot be read.
    """
    shipped = {path.stem: read_toml(path) for path in _shipped()}
    devices = {name: _device(f"shipped {name}.toml", name, keys) for name, keys in shipped.items()}
    user_file, problems = home_folder() / USER_FILE, {}
    try:
        described = read_toml(user_file) if os.path.lexists(user_file) else {}
    except InputError as error:
        described, problems = {}, {str(user_file): error}
    for name, keys in described.items():
        try:
            devices[name] = _user_device(user_file, name, keys, shipped)
        except InputError as error:
            devices.pop(name, None)
            problems[name] = error
    return dict(sorted(devices.items())), problems


def find_device(name: str) -> Device:
    """Return the device called `name`.

    Raises:
        InputError: There is none; the hint names the closest name.
    """
    devices = load_devices()
    if name in devices:
        return devices[name]
    msg = f"unknown device {name!r} (known: {', '.join(devices)})"
    hint = did_you_mean(name, devices) or f"describe it in {home_folder() / USER_FILE}"
    raise InputError(msg, hint=hint)


def _shipped() -> Iterator[Path]:
    folder = resources.files("natdeploy") / "profilers" / "devices"
    with resources.as_file(folder) as path:
        yield from sorted(path.glob("*.toml"))


def _user_device(path: Path, name: str, keys: object, shipped: Mapping[str, dict[str, Any]]) -> Device:
    if not isinstance(keys, dict):
        msg = f"{path}: {name!r} is not in a table; a device begins with a line like [my-board]"
        raise InputError(msg)
    if not _NAME.fullmatch(name):
        msg = f"{path}: {name!r} is not a device name: use letters, digits, '.', '_' and '-'"
        raise InputError(msg)
    return _device(str(path), name, _completed(path, name, keys, shipped))


def _completed(path: Path, name: str, keys: dict[str, Any], shipped: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    model = str(keys.get("like", name))
    if "like" in keys and model not in shipped:
        msg = f"{path}: device {name!r}, key 'like': {model!r} is not a shipped device (known: {', '.join(shipped)})"
        raise InputError(msg, hint=did_you_mean(model, shipped))
    taken = dict(shipped.get(model, {}))
    if "like" in keys or "chip" in keys:
        # It is another device, which does not call itself as the shipped one does.
        taken.pop("models", None)
    return {**taken, **{key: value for key, value in keys.items() if key != "like"}}


def _device(source: str, name: str, keys: Mapping[str, Any]) -> Device:
    try:
        model = _DeviceKeys.model_validate(dict(keys))
    except ValidationError as error:
        fault = find_fault(error, keys)
        msg = f"{source}: device {name!r}, key {fault.key!r}: {fault.reason}"
        raise InputError(msg) from error
    values = model.model_dump(exclude={"roofline", "models", "missing_operators", "slow_precisions"})
    return Device(
        name=name,
        **values,
        models=tuple(model.models),
        missing_operators=tuple(model.missing_operators),
        slow_precisions=tuple(model.slow_precisions),
        roofline=model.roofline.make_roofline() if model.roofline else None,
    )
