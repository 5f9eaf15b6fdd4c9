"""Profiling several devices in one call, at the same time; if one fails, the others continue."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from natdeploy.api.context import Context
from natdeploy.api.latency.results import ProfileResult
from natdeploy.core.checked import checked
from natdeploy.errors import InputError, NatdeployError
from natdeploy.io.devices import find_device
from natdeploy.ports import Clock, Reporter

_QUIET_S = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceFailure:
    """A device that could not be profiled, and why."""

    device: str
    error: NatdeployError

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the failure."""
        error = {"code": self.error.code, "message": self.error.message, "hint": self.error.hint}
        return {"ok": False, "device": self.device, "error": error}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfilesResult:
    """The results of several devices, in the order of the request."""

    profiles: tuple[ProfileResult | DeviceFailure, ...]

    @property
    def failures(self) -> tuple[DeviceFailure, ...]:
        """The devices that failed."""
        return tuple(result for result in self.profiles if isinstance(result, DeviceFailure))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        return {"ok": not self.failures, "profiles": [result.to_json() for result in self.profiles]}


@checked
def profile_devices(
    devices: Sequence[str], work: Callable[[str, Context], ProfileResult], *, context: Context | None = None
) -> ProfilesResult:
    """Profile several devices: the remote ones at the same time, then this machine alone.

    This machine comes last because the work for the others would disturb its measurements.

    Args:
        devices: Names of the devices.
        work: Profiles one device; usually a call of `natdeploy.api.profile` with options that all devices share.
        context: Reporter and clock.

    Raises:
        InputError: A name is unknown or given twice.
    """
    context = context or Context()
    if len(set(devices)) < len(devices):
        msg = f"a device is given twice: {', '.join(devices)}"
        raise InputError(msg)
    local = [name for name in devices if find_device(name).transport == "local"]
    remote = [name for name in devices if name not in local]
    one = functools.partial(_profile, work=work, context=context)
    with ThreadPoolExecutor(max_workers=max(1, len(remote))) as pool:
        try:
            results = dict(zip(remote, pool.map(one, remote), strict=True))
        except KeyboardInterrupt:
            context.connections.abort()
            raise
    results |= {name: one(name) for name in local}
    return ProfilesResult(profiles=tuple(results[name] for name in devices))


class DeviceReporter:
    """Reports line by line, with the name of the device; implements `natdeploy.ports.Reporter`."""

    def __init__(self, reporter: Reporter, device: str, clock: Clock) -> None:
        self._reporter = reporter
        self._device = device
        self._clock = clock
        self._said = clock.seconds()

    def info(self, message: str) -> None:
        """Say something that a user wants to know."""
        self._reporter.info(f"{self._device}: {message}")

    def warn(self, message: str) -> None:
        """Say something that a user must know."""
        self._reporter.warn(f"{self._device}: {message}")

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Say how far a stage is: at its end, and every few seconds before."""
        now = self._clock.seconds()
        if done >= total or now - self._said >= _QUIET_S:
            self._said = now
            self.info(f"{stage}: {done}/{total}{', ' + detail if detail else ''}")


def _profile(
    device: str, *, work: Callable[[str, Context], ProfileResult], context: Context
) -> ProfileResult | DeviceFailure:
    own = dataclasses.replace(context, reporter=DeviceReporter(context.reporter, device, context.clock))
    try:
        return work(device, own)
    except NatdeployError as error:
        own.reporter.warn(f"failed: {error.message}")
        return DeviceFailure(device=device, error=error)
