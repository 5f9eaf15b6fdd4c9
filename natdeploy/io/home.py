"""The folders where natdeploy keeps what belongs to the user."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home_folder() -> Path:
    """Return `NATDEPLOY_HOME` where it is set, else the platform's folder for user data; it need not exist."""
    given = os.environ.get("NATDEPLOY_HOME")
    return Path(given) if given else Path(platformdirs.user_data_dir("natdeploy", appauthor=False))


def data_folder() -> Path:
    """Return the folder of published data sets: `NATDEPLOY_DATA` where it is set, else `data` in the home folder."""
    given = os.environ.get("NATDEPLOY_DATA")
    return Path(given) if given else home_folder() / "data"
