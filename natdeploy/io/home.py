"""Folders for the user's natdeploy files."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home_folder() -> Path:
    """Return `NATDEPLOY_HOME` if it is set, otherwise the platform's folder for user data. It need not exist."""
    given = os.environ.get("NATDEPLOY_HOME")
    return Path(given) if given else Path(platformdirs.user_data_dir("natdeploy", appauthor=False))


def data_folder() -> Path:
    """Return the folder of published data sets: `NATDEPLOY_DATA` if it is set, otherwise `data` in the home folder."""
    given = os.environ.get("NATDEPLOY_DATA")
    return Path(given) if given else home_folder() / "data"
