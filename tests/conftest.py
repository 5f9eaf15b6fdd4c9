"""Fixtures of more than one folder."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from natdeploy.core.device import Deployment
from natdeploy.supernet import threads

# Threads that wait for each other are many times slower beside busy neighbours. Torch, OpenMP and OpenBLAS read these
# when they are loaded, in the commands that tests start as well.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

# How long an example takes hangs on what else the machine does.
settings.register_profile("natdeploy", deadline=None)
settings.load_profile("natdeploy")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of public data; a test that needs it is skipped where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NATDEPLOY_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"needs the shared data, not found in {folder}: set NATDEPLOY_SHARED_DATA")
    return folder


@pytest.fixture
def deployment() -> Deployment:
    """Return a deployment of a latency table."""
    return Deployment(device="board", runtime="onnxruntime", precision="fp32", batch=1, threads=1)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Have natdeploy train with one thread unless a test says otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "usable_cores", lambda: 1)
        yield


@pytest.fixture(scope="session")
def digits_subnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a small subnet that is good at the digits."""
    from tests.support.trained import write_digits_subnet

    path = tmp_path_factory.mktemp("digits") / "subnet.json"
    write_digits_subnet(path)
    return path
