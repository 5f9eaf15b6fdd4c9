"""Connections without a network: the folder, files and commands of this machine as a device."""

from __future__ import annotations

import pytest

from natdeploy.errors import OutputError
from natdeploy.runtimes.connection import Connection, LocalLink
from natdeploy.testing.transports import TransportContract


class TestLocal(TransportContract):
    """This machine as a device does what every transport must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def connect(cls):
        """A connection to this machine."""
        return lambda: Connection("here", LocalLink())


def test_a_folder_that_cannot_be_made_says_why(monkeypatch, tmp_path):
    """A device whose folder for temporary files cannot be written is an error of its disk."""
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv("TMPDIR", str(blocked))
    with pytest.raises(OutputError, match="here: a folder cannot be written"):
        Connection("here", LocalLink())
