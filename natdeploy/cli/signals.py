"""SIGTERM and SIGHUP end a command as Ctrl-C does: with a message, with clean-up, and with its own exit code."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

_HANDLED = (signal.SIGTERM, signal.SIGHUP)
# A terminal that is closed sends SIGHUP twice. The second one must not interrupt the clean-up.
_REPEATED_S = 2.0


class StoppedError(KeyboardInterrupt):
    """A signal asked the process to end.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise `StoppedError` in the main thread when SIGTERM or SIGHUP arrives during the block.

    A signal that is ignored, as SIGHUP is under `nohup`, stays ignored.
    """
    stopped_s = -_REPEATED_S

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopped_s
        before_s, stopped_s = stopped_s, time.monotonic()
        if stopped_s - before_s >= _REPEATED_S:
            raise StoppedError(number)

    handled = [number for number in _HANDLED if signal.getsignal(number) is signal.SIG_DFL]
    for number in handled:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def find_exit_code(error: BaseException) -> int:
    """Return the exit code of an interruption: 128 and the number of the signal that caused it, which may be SIGINT."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, StoppedError):
        cause = cause.__cause__
    return 128 + (signal.SIGINT if cause is None else cause.number)
