"""Timing on this machine."""

import pytest

from natdeploy.api.context import SystemClock
from natdeploy.export.onnx import OnnxExporter
from natdeploy.export.tflite_direct import TfliteDirectExporter
from natdeploy.ports import Exporter, Runtime
from natdeploy.profilers.local_timer import LocalTimer
from natdeploy.profilers.timing import Timing
from natdeploy.runtimes.onnx_runtime import OnnxRuntime
from natdeploy.testing.timers import ModelTimerContract

SHORT = Timing(warmup_runs=2, warmup_s=0.0, rounds=8, quiet_rounds=2, max_rounds=8, round_s=0.0, min_runs=2)


def timer_with(runtime: Runtime) -> LocalTimer:
    """Return a timer that makes few runs."""
    return LocalTimer(runtime=runtime, threads=1, clock=SystemClock(), timing=SHORT, profile_runs=16)


class TestLocalTimer(ModelTimerContract):
    """ONNX Runtime on this machine does what every timer must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def timer(cls) -> LocalTimer:
        """The timer of ONNX files."""
        return timer_with(OnnxRuntime())

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls) -> Exporter:
        """The exporter of ONNX files."""
        return OnnxExporter()


class TestLitertLocalTimer(ModelTimerContract):
    """LiteRT on this machine does what every timer must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def timer(cls) -> LocalTimer:
        """The timer of TFLite files."""
        pytest.importorskip("ai_edge_litert")
        from natdeploy.runtimes.litert import LitertRuntime

        return timer_with(LitertRuntime())

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls) -> Exporter:
        """The exporter of TFLite files."""
        return TfliteDirectExporter()
