"""Commands that are stopped at random moments until they have been stopped often enough."""

import dataclasses
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open
from sklearn.datasets import load_digits

from natdeploy.api.latency.timers import find_runtime
from natdeploy.io.spaces import find_space
from natdeploy.io.tables import write_table
from natdeploy.runtimes.agent import make_fingerprint
from natdeploy.testing.tables import HOST, made_up_table
from tests.support.commands import EXIT_CODES, Workplace

_SMALL_SPACE = """
resolutions = [32]
stem = {channels = 8, activation = "relu"}
fixed_block = {channels = 8, activation = "relu"}
final_expand = {channels = 64, activation = "relu"}

[[stages]]
channels = 16
stride = 2
activation = "relu"
kernels = [3, 5]
expand_ratios = [2, 3]
depths = [1, 2]
"""
_TRAINING = "--supernet starter --data images --resolutions 32 --epochs 3 --batch-size 16 --seed 4 --threads 1 -o out"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A command that writes the folder `out`.

    Args:
        first: Its arguments.
        before: Arguments of a command that writes what it reads.
        again: The arguments that continue it once `out` is a run. Empty: the same ones.
        results: Files in `out` that must be the same however often it was stopped. What is measured is not.
    """

    first: str
    before: str = ""
    again: str = ""
    results: tuple[str, ...] = ()


JOBS = {
    "search": Job(
        first="search --data images --target-latency 9s --resolutions 32 --initial 6 --iterations 1 --candidates 2 "
        "--warmup-epochs 1 --adapt-epochs 1 --batch-size 8 --seed 4 --threads 1 -o out",
        again="search --resume out",
        results=("archive.csv", "front.csv", "subnet.safetensors"),
    ),
    "pretrain": Job(
        first=f"pretrain {_TRAINING}", again="pretrain --resume out", results=("supernet.safetensors", "images.jsonl")
    ),
    "adapt": Job(first=f"adapt {_TRAINING}", again="adapt --resume out", results=("supernet.safetensors",)),
    "profile": Job(first="profile --supernet small.toml --threads 1 -o out"),
    "export": Job(
        first="export subnet.json --format onnx --precision int8 -o out",
        before="extract smallest --supernet starter -o subnet.json",
        results=("subnet.onnx",),
    ),
}


def prepare(workplace: Workplace) -> None:
    """Write what the jobs read: a latency table of this machine, so that no search profiles it, images and a space."""
    fingerprint = make_fingerprint(find_runtime("onnxruntime").version())
    table = made_up_table(find_space("starter"), fingerprint=fingerprint)
    write_table(workplace.path / "home" / "latency_tables" / "host" / HOST.file_name, table)
    (workplace.path / "small.toml").write_text(_SMALL_SPACE)
    pixels, labels = load_digits(return_X_y=True)
    for number, label in enumerate(labels[:150]):
        place = workplace.path / "images" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels[number].reshape(8, 8) * 15).astype(np.uint8)).save(place / f"{number}.png")


class Campaign:
    """Stops a job by signals at random moments, and compares what it ends in with what it ends in undisturbed.

    Args:
        workplace: Where it runs; `prepare` has been there.
        job: The job.
        seed: Seed of the moments.
    """

    def __init__(self, workplace: Workplace, job: Job, seed: int) -> None:
        self.workplace, self.job, self._dice = workplace, job, random.Random(seed)
        self._out, self._whole = workplace.path / "out", workplace.path / "whole"
        if job.before:
            assert workplace.start("-m", "natdeploy", *job.before.split()).wait() == 0, workplace.said
        began = time.monotonic()
        self.end()
        self._duration_s = time.monotonic() - began
        self._out.rename(self._whole)

    def stop(self, number: int) -> None:
        """Stop the job by a signal at a random moment. Where it ends before, it is checked and begun anew."""
        while True:
            before = self.workplace.list_temporary()
            process = self._start()
            try:
                assert process.wait(timeout=self._dice.uniform(0.02, 1) * self._duration_s) == 0, self.workplace.said
            except subprocess.TimeoutExpired:
                break
            self._check()
        process.send_signal(number)
        code = process.wait()
        assert self.workplace.all_have_ended()
        if number == signal.SIGKILL:
            assert code == -number
        elif code != -number:  # Python itself had not begun yet
            assert code == EXIT_CODES[signal.Signals(number)]
            assert "interrupted" in self.workplace.said
            assert "go on with: natdeploy " in self.workplace.said
            assert set(self.workplace.list_temporary()) <= set(before)

    def end(self) -> None:
        """Let the job come to its end, and check what it leaves."""
        assert self._start().wait() == 0, self.workplace.said
        self._check()

    def _start(self) -> "subprocess.Popen[bytes]":
        begun = self.job.again and (self._out / "run.toml").exists()
        arguments = self.job.again if begun else self.job.first
        return self.workplace.start("-m", "natdeploy", *arguments.split())

    def _check(self) -> None:
        assert self.workplace.all_have_ended()
        assert self.workplace.list_temporary() == []
        if self._whole.exists():
            assert _list_files(self._out) == _list_files(self._whole)
            for name in self.job.results:
                assert _read(self._out / name) == _read(self._whole / name), name
            shutil.rmtree(self._out)


def _read(path: Path) -> object:
    """Return the content of a file; of a weight file without the order of its header, which is another every time."""
    if path.suffix != ".safetensors":
        return path.read_bytes()
    with safe_open(path, "np") as file:
        return file.metadata(), {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118


def _list_files(folder: Path) -> Sequence[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
