"""TFLite files timed by benchmark_model on a phone; both the program and adb are stand-ins, since no phone is here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy.errors import MissingRuntimeError
from natdeploy.export.tflite_direct import TfliteDirectExporter
from natdeploy.profilers.benchmark_timer import BenchmarkModelTimer
from natdeploy.runtimes.adb import AdbLink, find_serial
from natdeploy.runtimes.connection import Connection, LocalLink
from natdeploy.testing.timers import ModelTimerContract
from tests.support.stand_ins import write_adb_stand_in, write_stand_in

pytestmark = pytest.mark.device


@pytest.fixture
def phone(tmp_path, monkeypatch) -> Path:
    """The folder of a phone behind the stand-in for adb."""
    programs, phone = tmp_path / "bin", tmp_path / "phone"
    programs.mkdir()
    phone.mkdir()
    write_adb_stand_in(programs / "adb", phone, "SERIAL1\\tdevice")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return phone


class TestBenchmarkModelTimer(ModelTimerContract):
    """benchmark_model, here its stand-in, does what every timer must do; it does not tell operators."""

    @pytest.fixture(scope="class")
    @classmethod
    def timer(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BenchmarkModelTimer]:
        """The timer of a device that has the stand-in."""
        program = tmp_path_factory.mktemp("programs") / "benchmark_model"
        write_stand_in(program, "benchmark_model")
        with Connection("phone", LocalLink()) as connection:
            yield BenchmarkModelTimer(transport=connection, threads=1, program=str(program))

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls) -> TfliteDirectExporter:
        """The exporter of TFLite files."""
        return TfliteDirectExporter()


def test_a_phone_is_timed_by_benchmark_model(phone, tmp_path):
    """Files are pushed once under their hash, every command names the serial, and nothing is left on the phone."""
    write_stand_in(phone / "benchmark_model", "benchmark_model")
    models = [tmp_path / name for name in ("a.tflite", "b.tflite")]
    for path in models:
        path.write_bytes(b"\0\0\0\0TFL3" + path.name.encode())
    with Connection("phone", AdbLink(serial=find_serial("any"))) as connection:
        assert connection.folder.startswith(f"{phone}/natdeploy/")
        timer = BenchmarkModelTimer(transport=connection, threads=1, rounds=3)
        first, second = timer.time(models, seed=0).stats
        timer.time(models, seed=1)
        assert timer.version().startswith("benchmark_model ")
    assert first.median_ms == second.median_ms == 2.0
    assert first.runs == 150
    calls = (phone / "calls").read_text(encoding="utf-8").splitlines()
    assert all(call.startswith("-s SERIAL1 ") for call in calls if call.startswith("-s"))
    assert sum(" push " in call for call in calls) == 2
    assert sorted(path.name for path in phone.iterdir()) == ["benchmark_model", "calls"]


def test_a_phone_without_benchmark_model_says_where_to_get_it(phone):
    """The error names the place where the program is looked for and how it gets there."""
    with Connection("phone", AdbLink(serial="SERIAL1")) as connection:
        timer = BenchmarkModelTimer(transport=connection, threads=1)
        with pytest.raises(MissingRuntimeError, match="there is no benchmark_model") as caught:
            timer.version()
    assert "adb push benchmark_model /data/local/tmp/benchmark_model" in str(caught.value.hint)


def test_a_benchmark_model_that_may_not_be_executed_says_so(phone, tmp_path):
    """A file that was pushed without its mode is found, and the error says how to make it executable."""
    (phone / "benchmark_model").write_text("#!/bin/sh\n", encoding="utf-8")
    model = tmp_path / "a.tflite"
    model.write_bytes(b"\0\0\0\0TFL3")
    with Connection("phone", AdbLink(serial="SERIAL1")) as connection:
        timer = BenchmarkModelTimer(transport=connection, threads=1)
        with pytest.raises(MissingRuntimeError, match=r"may not be executed: '.*Permission denied'") as caught:
            timer.time([model], seed=0)
    assert "chmod +x" in str(caught.value.hint)
