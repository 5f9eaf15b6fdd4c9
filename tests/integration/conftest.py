"""Running the commands as a user does."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with a data folder of its own, where a search trains with one thread."""
    return {**os.environ, "NATDEPLOY_HOME": str(tmp_path_factory.mktemp("home")), "NATDEPLOY_SEARCH_THREADS": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A current directory of its own."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def natdeploy(environment: dict[str, str], folder: Path) -> Command:
    """Run `natdeploy ARGUMENTS` in the folder."""

    def run(*arguments: str, timeout_s: float = 600) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "natdeploy", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    return run
