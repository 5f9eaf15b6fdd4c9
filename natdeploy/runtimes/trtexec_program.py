"""The `trtexec` of a device, run over a connection: found, asked what it knows, and held to its verdict."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.ports import Transport
from natdeploy.runtimes.connection import find_program
from natdeploy.runtimes.trtexec import TrtexecFlags, Version, format_version, make_build_arguments
from natdeploy.runtimes.trtexec_log import require_success

PLACES = ("trtexec", "/usr/src/tensorrt/bin/trtexec")
HELP_S, RUN_S, BUILD_S = 120.0, 600.0, 3600.0
_ELSEWHERE = "where it lies elsewhere, write its path as `program` of the device in devices.toml"
_NO_SPACE = "No space left on device"
_NOT_SAVED = re.compile(r"Saving engine to file failed|Cannot open engine file|Could not write")
_LEAST_FREE_KB = 1024
_FREE = "df -Pk . | tail -n 1"
# Builds work on a copy, so that one which is killed damages nothing; without a cache they only take longer.
_CACHE = 'cache="${XDG_CACHE_HOME:-${HOME:?}/.cache}/natdeploy/$1"; '
_TAKE_CACHE = _CACHE + 'if [ -s "$cache" ]; then cp -- "$cache" "$2"; fi'
_KEEP_CACHE = (
    _CACHE + 'if [ -s "$2" ] && mkdir -p -- "${cache%/*}"; then '
    'if cp -- "$2" "$cache.$$"; then mv -f -- "$cache.$$" "$cache"; else rm -f -- "$cache.$$"; fi; fi'
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrtexecProgram:
    """A device's trtexec.

    Args:
        transport: Connection to the device.
        path: Where it lies, where that is an unusual place.
        build_s: Seconds that a build may take.
    """

    transport: Transport
    path: str | None = None
    build_s: float = BUILD_S

    @functools.cached_property
    def resolved_path(self) -> str:
        """Its path on the device.

        Raises:
            MissingRuntimeError: It is not there.
        """
        candidates = [self.path] if self.path else list(PLACES)
        found = find_program(self.transport, candidates)
        if found is None:
            msg = f"{self.transport.name}: there is no trtexec ({', '.join(candidates)})"
            hint = "it comes with TensorRT (on a Jetson: sudo apt install nvidia-jetpack); " + _ELSEWHERE
            raise MissingRuntimeError(msg, hint=hint)
        return found

    @functools.cached_property
    def flags(self) -> TrtexecFlags:
        """What it knows."""
        done = self.transport.run([self.resolved_path, "--help"], timeout_s=HELP_S)
        return TrtexecFlags.from_help(done.stdout + done.stderr)

    @functools.cached_property
    def version(self) -> Version:
        """Version of TensorRT.

        Raises:
            InputError: Its help does not tell.
        """
        if self.flags.version is None:
            msg = f"{self.transport.name}: trtexec --help does not tell the version of TensorRT"
            raise InputError(msg)
        return self.flags.version

    def run(self, arguments: Sequence[str], *, timeout_s: float = RUN_S) -> str:
        """Run it and return what it printed.

        Raises:
            DeviceUnreachableError: The connection is lost, or the time is over.
            InputError: It failed; the message says why.
            OutputError: The device is full.
        """
        done = self.transport.run([self.resolved_path, *arguments], timeout_s=timeout_s)
        text = done.stdout + done.stderr
        if _NO_SPACE in text or (_NOT_SAVED.search(text) and self._is_full()):
            raise self.transport.make_write_error(_NO_SPACE, "what trtexec writes")
        require_success(text, source=f"trtexec on {self.transport.name}", exit_code=done.exit_code)
        return text

    def read(self, name: str) -> str:
        """Return a text file that it wrote.

        Raises:
            InputError: It did not write it.
        """
        done = self.transport.run(["cat", name], timeout_s=RUN_S)
        if done.exit_code != 0:
            msg = f"trtexec on {self.transport.name}: it did not write {name}: {done.stderr.strip()}"
            raise InputError(msg)
        return done.stdout

    def build(self, *, onnx: str, engine: str, precision: str, workspace_mib: int, keep_times: bool = False) -> str:
        """Build an engine of an ONNX file of the device and return what was printed.

        Args:
            onnx: The ONNX file there.
            engine: The engine to write there.
            precision: Lowest precision that layers may use.
            workspace_mib: Most memory that a layer may use for itself, in MiB.
            keep_times: Whether the times of kernels are kept in the user's cache on the device, for the next build.

        Raises:
            DeviceUnreachableError: The connection is lost, or the time is over.
            InputError: It failed; the message says why.
            OutputError: The device is full.
        """
        times = f"{self.transport.folder}/timing.cache"
        kept = ["sh", f"tensorrt-{format_version(self.version)}.timing", times] if keep_times else []
        if kept:
            self.transport.run(["sh", "-c", _TAKE_CACHE, *kept], timeout_s=RUN_S)
        arguments = make_build_arguments(
            self.flags,
            onnx=onnx,
            engine=engine,
            precision=precision,
            workspace_mib=workspace_mib,
            timing_cache=times,
        )
        text = self.run(arguments, timeout_s=self.build_s)
        if self.transport.run(["test", "-s", engine], timeout_s=RUN_S).exit_code != 0:
            msg = f"trtexec on {self.transport.name}: it says that it passed, but wrote no engine"
            raise InputError(msg)
        if kept:
            self.transport.run(["sh", "-c", _KEEP_CACHE, *kept], timeout_s=RUN_S)
        return text

    def _is_full(self) -> bool:
        fields = self.transport.run(["sh", "-c", _FREE], timeout_s=RUN_S).stdout.split()
        return len(fields) > 3 and fields[3].isdigit() and int(fields[3]) < _LEAST_FREE_KB
