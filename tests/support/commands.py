"""Commands that are stopped from outside, and what is left of them."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.waiting import wait_until

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@dataclasses.dataclass(frozen=True)
class Workplace:
    """A folder to work in, with the user's folder `home` and the one of temporary files, `tmp`."""

    path: Path

    def __post_init__(self) -> None:
        for name in ("home", "tmp"):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start Python with arguments. What it says on stderr goes into the file `said`."""
        environment = {**os.environ, "NATDEPLOY_HOME": str(self.path / "home"), "TMPDIR": str(self.path / "tmp")}
        with (self.path / "said").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, *arguments], cwd=self.path, env=environment, stdout=subprocess.DEVNULL, stderr=said
            )

    @property
    def said(self) -> str:
        """What the last command said on stderr."""
        return (self.path / "said").read_text()

    def list_processes(self) -> list[int]:
        """Return the processes that have their temporary files here: commands and what they started."""
        mark, found = f"TMPDIR={self.path / 'tmp'}".encode(), []
        for place in Path("/proc").glob("[0-9]*/environ"):
            try:
                variables = place.read_bytes().split(b"\0")
            except OSError:
                continue
            if any(variable.startswith(mark) for variable in variables):
                found.append(int(place.parent.name))
        return found

    def all_have_ended(self) -> bool:
        """Wait for the end of every process, and tell whether all have ended."""
        return wait_until(lambda: not self.list_processes())

    def list_temporary(self) -> list[Path]:
        """Return what is left in the folder of temporary files, and of temporary folders beside targets."""
        return [*(self.path / "tmp").iterdir(), *self.path.rglob(".natdeploy-tmp-*")]
