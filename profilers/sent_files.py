"""Model files on a device: each is sent once, under the hash of its content, and goes when it is not needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from natdeploy.ports import Transport

_REMOVE_S = 60.0


class SentFiles:
    """The model files that lie in the temporary folder of a connection.

    Args:
        transport: The connection.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._there: set[str] = set()

    def place(self, paths: Sequence[Path]) -> list[str]:
        """Return the paths on the device of `paths`; what is not among them is removed first, boards have little room.

        Raises:
            DeviceUnreachableError: The connection is lost.
            OutputError: The device is full.
        """
        wanted = {self._target(path): path for path in paths}
        self._remove(self._there - set(wanted))
        for target, path in wanted.items():
            if target not in self._there:
                self._transport.send(path, target)
                self._there.add(target)
        return [self._target(path) for path in paths]

    def _target(self, path: Path) -> str:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return f"{self._transport.folder}/{digest[:32]}{path.suffix}"

    def _remove(self, targets: set[str]) -> None:
        if targets:
            self._transport.run(["rm", "-f", "--", *sorted(targets)], timeout_s=_REMOVE_S)
            self._there -= targets
