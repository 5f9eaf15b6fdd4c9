"""Reads damaged files, and keeps those that a reader neither reads nor refuses as it should."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import signal
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings, strategies

from natdeploy.errors import NatdeployError
from tests.fuzz.corpus import Reader
from tests.fuzz.mutations import damage

_PROCESSOR_S, _MEMORY_BYTES = 10.0, 500 * 2**20


@dataclasses.dataclass(frozen=True)
class Failure:
    """A file that a reader neither reads nor refuses as it should.

    Args:
        reader: Name of the reader.
        content: The file.
        reason: What happened.
        place: Where it happened; failures of one place are alike.
    """

    reader: str
    content: bytes
    reason: str
    place: str


class _TookTooLongError(BaseException):
    """Reading took more of the processor's time than any file may."""


def try_file(reader: Reader, content: bytes, folder: Path) -> Failure | None:
    """Read a file. It may be read, or refused with one error that names it, in time and within the memory.

    Args:
        reader: The reader.
        content: The file.
        folder: An empty folder for it.
    """
    for name, beside in {**reader.beside, reader.file: content}.items():
        (folder / name).write_bytes(beside)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reason, place = "", ""
    try:
        with _limit_time(), warnings.catch_warnings():
            # As natdeploy itself has it.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            reader.read(folder / reader.file)
    except NatdeployError as error:
        if reader.file not in str(error) and str(folder) not in str(error):
            reason, place = f"the error does not name the file: {error}", "message"
    except (Exception, _TookTooLongError) as error:  # noqa: BLE001, this is what is looked for
        frames = traceback.extract_tb(error.__traceback__)
        reason = "".join(traceback.format_exception(error, limit=-8))
        place = f"{type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}"
    if (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 > _MEMORY_BYTES:
        reason, place = "more than 500 MB of memory", "memory"
    return Failure(reader.name, content, reason, place) if reason else None


def try_damaged(reader: Reader, *, count: int, seed: int) -> tuple[int, list[Failure]]:
    """Read the reader's share of `count` damaged files, and return how many there were and one failure a place."""
    failures: dict[str, Failure] = {}
    tried = 0

    def read(content: bytes) -> None:
        nonlocal tried
        tried += 1
        with tempfile.TemporaryDirectory() as folder, _as_home(Path(folder)):
            failure = try_file(reader, content, Path(folder))
        if failure is not None:
            failures.setdefault(failure.place, failure)

    files = strategies.one_of(*(damage(whole, reader.kind) for whole in reader.contents))
    few = settings(
        max_examples=max(1, round(count * reader.share)),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=HealthCheck,
    )
    hypothesis.seed(seed)(few(given(files)(read)))()
    return tried, list(failures.values())


@contextlib.contextmanager
def _as_home(folder: Path) -> Iterator[None]:
    import pytest

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NATDEPLOY_HOME", str(folder))
        yield


@contextlib.contextmanager
def _limit_time() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TookTooLongError

    former = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, _PROCESSOR_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, former)
