"""A search that is killed at random moments."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from natdeploy.api.latency.timers import find_runtime
from natdeploy.io.spaces import find_space
from natdeploy.io.tables import write_table
from natdeploy.runtimes.agent import make_fingerprint
from natdeploy.testing.tables import HOST, made_up_table

pytestmark = pytest.mark.integration

SEARCH = (
    "search --data images --target-latency 9s --resolutions 32 --initial 6 --iterations 1 --candidates 2 "
    "--warmup-epochs 1 --adapt-epochs 1 --batch-size 8 --seed 4 --threads 1"
)


def start(folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start the command in `folder`."""
    environment = {**os.environ, "NATDEPLOY_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "natdeploy", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a latency table of this machine, so that every search uses the same one, and some images."""
    fingerprint = make_fingerprint(find_runtime("onnxruntime").version())
    table = made_up_table(find_space("starter"), fingerprint=fingerprint)
    write_table(tmp_path / "home" / "latency_tables" / "host" / HOST.file_name, table)
    pixels, labels = load_digits(return_X_y=True)
    for number, label in enumerate(labels[:150]):
        place = tmp_path / "images" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels[number].reshape(8, 8) * 15).astype(np.uint8)).save(place / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("kills", "search"),
    [
        pytest.param(1, SEARCH, id="once"),
        pytest.param(10, f"{SEARCH} --from-scratch", id="ten-times", marks=pytest.mark.slow),
    ],
)
def test_a_killed_search_ends_in_the_same_archive(kills: int, search: str, folder: Path) -> None:
    """SIGKILL at random moments, then `--resume`: archive and front are those of an uninterrupted run."""
    began = time.monotonic()
    assert start(folder, *search.split(), "-o", "whole").wait() == 0
    whole_s = time.monotonic() - began
    dice = random.Random(kills)
    done = 0
    while done < kills:
        if done == 0:
            shutil.rmtree(folder / "killed", ignore_errors=True)
        begun = (folder / "killed" / "run.toml").exists()
        arguments = ["search", "--resume", "killed"] if begun else [*search.split(), "-o", "killed"]
        process = start(folder, *arguments)
        try:
            process.wait(timeout=dice.uniform(0.2, 0.9) * whole_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
        else:
            assert process.returncode == 0
            shutil.move(folder / "killed", folder / f"ended-{done}-{dice.random()}")
    if not (folder / "killed" / "run.toml").exists():
        assert start(folder, *search.split(), "-o", "killed").wait() == 0
    else:
        assert start(folder, "search", "--resume", "killed").wait() == 0
    ended = [folder / "killed", *folder.glob("ended-*")]
    for run in ended:
        for name in ("archive.csv", "front.csv"):
            assert (run / name).read_text() == (folder / "whole" / name).read_text(), run
