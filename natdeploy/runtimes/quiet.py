"""Keeping what other packages print and set away from natdeploy's own output and from the process."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def silence(*, stderr: bool = False) -> Iterator[None]:
    """Throw away what is written to stdout meanwhile, by Python or below it; Python's warnings too.

    Applies to the whole process, other threads included.

    Args:
        stderr: Throw away stderr as well.
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
    """Put environment variables and the handlers and level of the root logger back as they were."""
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
    except OSError:  # closed: nothing can be written to it
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
