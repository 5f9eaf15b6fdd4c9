"""Outputs of trtexec and benchmark_model for tests.

All of them are constructed here, in the layout of the real programs, so that the tests hold without the shared data;
figures are round and mean nothing. `sample` reads real ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

SAMPLES = Path(os.environ.get("NATDEPLOY_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "samples"


def sample(name: str) -> str:
    """Return a real output; the test is skipped where it is absent."""
    import pytest

    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"{path} is absent: set NATDEPLOY_SHARED_DATA")
    return path.read_text(encoding="utf-8")


def trtexec_help(options: str, version: str = "8201") -> str:
    """Return what `trtexec --help` would print for these options, separated by blanks."""
    lines = "\n".join(f"  {option:<27} What it does (default = disabled)" for option in options.split())
    return f"&&&& RUNNING TensorRT.trtexec [TensorRT v{version}] # trtexec --help\n=== Build Options ===\n{lines}\n"


_SHARED = (
    "--onnx=<file> --saveEngine=<file> --loadEngine=<file> --timingCacheFile=<file> --warmUp=N --duration=N"
    " --iterations=N --avgRuns=N --useSpinWait --useCudaGraph --separateProfileRun --dumpProfile --exportTimes=<file>"
    " --exportProfile=<file> --loadInputs=spec --exportOutput=<file> --noTF32"
)
HELP_8_0 = trtexec_help(f"{_SHARED} --fp16 --int8 --workspace=N --buildOnly --noDataTransfers", "8001")
HELP_8_5 = trtexec_help(
    f"{_SHARED} --fp16 --int8 --workspace=N --memPoolSize=poolspec --buildOnly --noDataTransfers"
    " --profilingVerbosity=mode --exportLayerInfo=<file>",
    "8502",
)
HELP_10 = trtexec_help(
    f"{_SHARED} --fp16 --int8 --memPoolSize=poolspec --skipInference --noDataTransfers --profilingVerbosity=mode"
    " --exportLayerInfo=<file>",
    "100300",
)
HELP_11 = trtexec_help(
    f"{_SHARED} --memPoolSize=poolspec --skipInference --noDataTransfers --includeDataTransfers --noSpinWait"
    " --noCudaGraph --profilingVerbosity=mode --exportLayerInfo=<file>",
    "110100",
)

TRTEXEC_LOG = """\
&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # trtexec --loadEngine=m.engine --exportTimes=t.json
[1/2/26-03:04:05] [I] === Inference Options ===
[1/2/26-03:04:05] [I] Data transfers: Disabled
[1/2/26-03:04:05] [I] Spin-wait: Enabled
[1/2/26-03:04:05] [I] CUDA Graph: Disabled
[1/2/26-03:04:05] [I] Selected Device: NVIDIA Tegra X1
[1/2/26-03:04:16] [I] === Performance summary ===
[1/2/26-03:04:16] [I] Throughput: 100 qps
[1/2/26-03:04:16] [I] Latency: min = 9.5 ms, max = 11.5 ms, mean = 10 ms, median = 10 ms, percentile(99%) = 11 ms
[1/2/26-03:04:16] [I] H2D Latency: min = 0 ms, max = 0 ms, mean = 0 ms, median = 0 ms, percentile(99%) = 0 ms
[1/2/26-03:04:16] [I] GPU Compute Time: min = 9.5 ms, max = 11 ms, mean = 10 ms, median = 10 ms, percentile(99%) = 11 ms
[1/2/26-03:04:16] [W] * GPU compute time is unstable, with coefficient of variance = 2.5%.
[1/2/26-03:04:16] [I]
&&&& PASSED TensorRT.trtexec [TensorRT v8201] # trtexec --loadEngine=m.engine --exportTimes=t.json
"""

TRTEXEC_FAILED = """\
&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # trtexec --onnx=m.onnx --saveEngine=m.engine
[1/2/26-03:04:05] [E] [TRT] ModelImporter.cpp:735: Failed to parse ONNX model from file: m.onnx
[1/2/26-03:04:05] [E] Failed to parse onnx file
&&&& FAILED TensorRT.trtexec [TensorRT v8201] # trtexec --onnx=m.onnx --saveEngine=m.engine
"""


def exported_times(computed: list[float], *, begin: float = 0.0, old: bool = False) -> str:
    """Return what `--exportTimes` would write for runs that computed so many milliseconds, one after the other."""
    rows, clock = [], begin
    for value in computed:
        row = dict.fromkeys(("startEnqMs", "endEnqMs", "startH2dMs", "endH2dMs", "startComputeMs"), clock)
        clock += value
        row |= dict.fromkeys(("endComputeMs", "startD2hMs", "endD2hMs"), clock)
        row |= {"h2dMs": 0, "computeMs": value, "d2hMs": 0, "latencyMs": value}
        rows.append(row | ({"endToEndMs": value} if old else {}))
    return json.dumps(rows)


def exported_profile(layers: dict[str, float], *, median: bool = True, count: int = 100) -> str:
    """Return what `--exportProfile` would write for layers that take so many milliseconds."""
    total = sum(layers.values())
    rows: list[dict[str, object]] = [{"count": count}]
    for name, value in layers.items():
        row: dict[str, object] = {"name": name, "timeMs": value * count, "averageMs": value}
        if median:
            row["medianMs"] = value / 2
        rows.append({**row, "percentage": 100 * value / total})
    return json.dumps(rows)


def exported_output(name: str, shape: Sequence[int], values: Sequence[float]) -> str:
    """Return what `--exportOutput` would write for one output; figures have six digits there."""
    dimensions = "x".join(map(str, shape))
    shown = ", ".join(f"{value:.6g}" for value in values)
    return f'[\n  {{ "name" : "{name}"\n  , "dimensions" : "{dimensions}"\n  , "values" : [ {shown} ]\n  }}\n]\n'


def benchmark_report(factor: float = 1.0) -> str:
    """Return what benchmark_model would print of a model that takes `factor` times 2 ms."""

    def figures(**values: float) -> str:
        return " ".join(f"{name}={value * factor:g}" for name, value in values.items())

    delegated = "INFO: Replacing 8 out of 10 node(s) with delegate (TfLiteXNNPackDelegate) node"
    return f"""\
INFO: Initialized session in 5.5ms.
{delegated}, yielding 3 partitions for subgraph 0.
INFO: count=10 {figures(first=2500, curr=2100, min=2000, max=2500, avg=2200, std=90)}

INFO: count=50 {figures(first=2050, curr=2010, min=1900, max=2600, avg=2020.5, std=80, p5=1950, median=2000, p95=2200)}

INFO: Inference timings in us: Init: 5500, First inference: {2500 * factor:g}, Warmup (avg): {2200 * factor:g}, \
Inference (avg): {2020.5 * factor:g}
INFO: Memory footprint delta from the start of the tool (MB): init=3.5 overall=7.25
"""


TIMED = benchmark_report()
