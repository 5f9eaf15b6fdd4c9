"""Waiting for what another process does."""

import time
from collections.abc import Callable

LIMIT_S = 120.0
"""Far more than a busy machine takes for anything that a test waits for."""


def wait_until(condition: Callable[[], bool]) -> bool:
    """Return True as soon as the condition holds, or False after two minutes without it."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
