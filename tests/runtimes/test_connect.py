"""Opening connections to devices, and aborting those that are open."""

from pathlib import Path

import pytest

from natdeploy.errors import DeviceUnreachableError
from natdeploy.io.devices import find_device
from natdeploy.runtimes.connect import Connections

HERE = find_device("host")


def test_open_connections_are_aborted() -> None:
    """Whatever waits for a device fails at once after `abort`; connections that were closed before are left alone."""
    connections = Connections()
    with connections.open(HERE) as closed:
        assert closed.run(["true"], timeout_s=60).exit_code == 0
    with connections.open(HERE) as first, connections.open(HERE) as second:
        connections.abort()
        for connection in (first, second):
            with pytest.raises(DeviceUnreachableError):
                connection.run(["sleep", "4244"], timeout_s=60)


def test_an_error_closes_the_connection() -> None:
    """After an error of the work the connection's folder is gone, and there is nothing left to abort."""
    connections = Connections()
    with pytest.raises(ZeroDivisionError), connections.open(HERE) as connection:
        1 / 0  # noqa: B018
    assert not Path(connection.folder).exists()
    connections.abort()
