"""Model files on a device: each is copied there once, under the hash of its content, and removed when not needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from natdeploy.ports import Transport
from natdeploy.readers import MODEL_BYTES, read_bytes

_REMOVE_S = 60.0


class RemoteFileCache:
    """The model files in the temporary folder of a connection.

    Args:
        transport: The connection.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._cached: set[str] = set()

    def upload(self, paths: Sequence[Path]) -> list[str]:
        """Return the paths on the device of the files `paths`, which are copied there if they are not there yet.

        All other files are removed first: boards have little room.

        Raises:
            DeviceUnreachableError: The connection is lost.
            InputError: A file is missing.
            OutputError: The device is full.
        """
        wanted = {self._remote_path(path): path for path in paths}
        self._remove(self._cached - set(wanted))
        for remote_path, path in wanted.items():
            if remote_path not in self._cached:
                self._transport.send(path, remote_path)
                self._cached.add(remote_path)
        return [self._remote_path(path) for path in paths]

    def _remote_path(self, path: Path) -> str:
        digest = hashlib.sha256(read_bytes(path, MODEL_BYTES)).hexdigest()
        return f"{self._transport.folder}/{digest[:32]}{path.suffix}"

    def _remove(self, remote_paths: set[str]) -> None:
        if remote_paths:
            self._transport.run(["rm", "-f", "--", *sorted(remote_paths)], timeout_s=_REMOVE_S)
            self._cached -= remote_paths
