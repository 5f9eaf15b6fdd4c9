"""Keeps output and process-wide settings of other packages away from natdeploy's output and process."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def silence(*, stderr: bool = False) -> Iterator[None]:
    """Discard what the block writes to stdout, from Python or native code, and Python's warnings.

    This affects the whole process, including other threads.

    Args:
        stderr: Whether to discard stderr too.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        sink = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123
        for number in (1, 2) if stderr else (1,):
            stack.enter_context(_redirect_descriptor(number, sink.fileno()))
        stack.enter_context(contextlib.redirect_stdout(sink))
        if stderr:
            stack.enter_context(contextlib.redirect_stderr(sink))
        yield


@contextlib.contextmanager
def restore_process_state() -> Iterator[None]:
    """Restore environment variables and the root logger's handlers and level when the block ends."""
    environment = dict(os.environ)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)
        root.handlers[:] = handlers
        root.setLevel(level)


@contextlib.contextmanager
def _redirect_descriptor(number: int, sink: int) -> Iterator[None]:
    _flush()
    try:
        saved = os.dup(number)
    except OSError:  # it is closed, so nothing can be written to it
        yield
        return
    os.dup2(sink, number)
    try:
        yield
    finally:
        os.dup2(saved, number)
        os.close(saved)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
