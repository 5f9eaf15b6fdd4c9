"""Runs the `trtexec` of a device over a connection: finds it, reads its options and checks its result."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.ports import Transport
from natdeploy.runtimes.connection import find_program
from natdeploy.runtimes.program_failure import make_failure_error
from natdeploy.runtimes.trtexec import TrtexecFlags, Version, format_version, make_build_arguments
from natdeploy.runtimes.trtexec_log import OTHER_TRTEXEC, require_success

PLACES = ("trtexec", "/usr/src/tensorrt/bin/trtexec")
HELP_S, RUN_S, BUILD_S = 120.0, 600.0, 3600.0
_ELSEWHERE = "if it is elsewhere, set `program` of the device in devices.toml to its path"
_NO_SPACE = "No space left on device"
_NOT_SAVED = re.compile(r"Saving engine to file failed|Cannot open engine file|Could not write")
_LEAST_FREE_KB = 1024
_FREE = "df -Pk . | tail -n 1"
# Builds work on a copy of the cache, so a killed build damages nothing. Without a cache, builds only take longer.
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
        path: Path of trtexec on the device. None: the usual places.
        build_s: Maximum seconds of a build.
    """

    transport: Transport
    path: str | None = None
    build_s: float = BUILD_S

    @functools.cached_property
    def resolved_path(self) -> str:
        """Path of trtexec on the device.

        Raises:
            MissingRuntimeError: The device has no trtexec.
        """
        candidates = [self.path] if self.path else list(PLACES)
        found = find_program(self.transport, candidates)
        if found is None:
            msg = f"{self.transport.name}: there is no trtexec (tried: {', '.join(candidates)})"
            hint = "it is in the package libnvinfer-bin (on a Jetson: sudo apt install nvidia-jetpack); " + _ELSEWHERE
            raise MissingRuntimeError(msg, hint=hint)
        return found

    @functools.cached_property
    def flags(self) -> TrtexecFlags:
        """The options that it supports."""
        done = self.transport.run([self.resolved_path, "--help"], timeout_s=HELP_S)
        text = done.stdout + done.stderr
        try:
            return TrtexecFlags.from_help(text)
        except InputError:
            failure = make_failure_error(
                self._source, text, done.exit_code, program=self.resolved_path, otherwise=InputError
            )
            if failure is None:
                raise
            raise failure from None

    @functools.cached_property
    def version(self) -> Version:
        """Version of TensorRT.

        Raises:
            MissingRuntimeError: The help of trtexec does not state it, so it is too old.
        """
        if self.flags.version is None:
            msg = f"{self._source}: its help does not state the version of TensorRT: it is of TensorRT 7 or older"
            raise MissingRuntimeError(msg, hint=OTHER_TRTEXEC)
        return self.flags.version

    def run(self, arguments: Sequence[str], *, timeout_s: float = RUN_S) -> str:
        """Run trtexec and return its output.

        Raises:
            DeviceUnreachableError: The connection is lost, or trtexec did not end in time.
            InputError: trtexec failed. The message says why.
            MissingRuntimeError: trtexec cannot run on the device. The message says why.
            OutputError: The device has no space left.
        """
        done = self.transport.run([self.resolved_path, *arguments], timeout_s=timeout_s)
        text = done.stdout + done.stderr
        if _NO_SPACE in text or (_NOT_SAVED.search(text) and self._is_full()):
            raise self.transport.make_write_error(_NO_SPACE, "what trtexec writes")
        require_success(text, source=self._source, exit_code=done.exit_code, program=self.resolved_path)
        return text

    def read(self, name: str) -> str:
        """Return a text file that trtexec wrote.

        Raises:
            InputError: The file cannot be read on the device.
        """
        done = self.transport.run(["cat", name], timeout_s=RUN_S)
        if done.exit_code != 0:
            msg = f"trtexec on {self.transport.name}: it did not write {name}: {done.stderr.strip()}"
            raise InputError(msg)
        return done.stdout

    def build(self, *, onnx: str, engine: str, precision: str, workspace_mib: int, keep_times: bool = False) -> str:
        """Build an engine from an ONNX file on the device and return the output.

        Args:
            onnx: ONNX file on the device.
            engine: Engine file to write on the device.
            precision: Lowest precision that layers may use.
            workspace_mib: Maximum workspace memory of a layer, in MiB.
            keep_times: Whether to keep kernel times in the user's cache on the device, for the next build.

        Raises:
            DeviceUnreachableError: The connection is lost, or trtexec did not end in time.
            InputError: trtexec failed. The message says why.
            OutputError: The device has no space left.
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
            msg = f"trtexec on {self.transport.name}: it reported success but wrote no engine"
            raise InputError(msg)
        if kept:
            self.transport.run(["sh", "-c", _KEEP_CACHE, *kept], timeout_s=RUN_S)
        return text

    @property
    def _source(self) -> str:
        return f"trtexec on {self.transport.name}"

    def _is_full(self) -> bool:
        fields = self.transport.run(["sh", "-c", _FREE], timeout_s=RUN_S).stdout.split()
        return len(fields) > 3 and fields[3].isdigit() and int(fields[3]) < _LEAST_FREE_KB
