"""Folders and disks as the tests of files see them."""

import contextlib
import resource


@contextlib.contextmanager
def full_disk(free_bytes):
    """Let no file of this process grow beyond `free_bytes`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder):
    """Return what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())
