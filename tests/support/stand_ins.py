"""Stand-ins for programs of devices that cannot be had here: the layout of the real ones, with made-up times.

Run as `python stand_ins.py trtexec|benchmark_model ARGUMENTS`; `write_stand_in` makes a program of it.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def write_stand_in(path: Path, program: str) -> None:
    """Write a program that answers as `trtexec` or `benchmark_model` would."""
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, __file__, program])} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def write_quick_trtexec(folder: Path) -> Path:
    """Write a program into `folder` that answers as `trtexec` would, and return it; only outputs take a Python there.

    Every run takes a millisecond.
    """
    from tests.support.tool_outputs import HELP_8_0, TRTEXEC_LOG, exported_times

    contents = {"help": HELP_8_0, "log": TRTEXEC_LOG, "times": exported_times([1.0] * 20, begin=500, old=True)}
    for name, text in contents.items():
        (folder / f"trtexec.{name}").write_text(text, encoding="utf-8")
    path = folder / "trtexec"
    path.write_text(
        f"""#!/bin/sh
case "$*" in
--help) exec cat {path}.help;;
*--exportOutput=*) exec {shlex.join([sys.executable, __file__, "trtexec"])} "$@";;
esac
for one; do case "$one" in
--onnx=*) onnx=${{one#*=}};;
--saveEngine=*) cp "$onnx" "${{one#*=}}";;
--timingCacheFile=*) echo built >>"${{one#*=}}";;
--exportTimes=*) cp {path}.times "${{one#*=}}";;
esac; done
cat {path}.log
""",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


def write_quick_benchmark_model(folder: Path) -> Path:
    """Write a program into `folder` that answers as `benchmark_model` would, and return it; it takes no Python.

    A run takes 0.2 ms and 0.1 us for each kilobyte of the model.
    """
    path = folder / "benchmark_model"
    path.write_text(
        """#!/bin/sh
for one; do case "$one" in --graph=*) size=$(wc -c <"${one#*=}");; esac; done
us=$((200 + size / 10000))
echo "INFO: Initialized session in 5.5ms."
echo "INFO: count=10 first=$us curr=$us min=$us max=$us avg=$us std=1"
echo
echo "INFO: count=50 first=$us curr=$us min=$us max=$us avg=$us std=1 p5=$us median=$us p95=$us"
echo
echo "INFO: Inference timings in us: Init: 5500, First inference: $us, Warmup (avg): $us, Inference (avg): $us"
echo "INFO: Memory footprint delta from the start of the tool (MB): init=3.5 overall=7.25"
""",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


def write_adb_stand_in(path: Path, root: Path, listed: str) -> None:
    """Write an `adb` whose only phone is the folder `root`; `listed` is what `adb devices` prints below its head.

    Paths below /data/local/tmp of the phone are brought into the folder.
    """
    path.write_text(
        f"""#!/bin/sh
if [ "$1" = devices ]; then printf 'List of devices attached\\n{listed}\\n'; exit 0; fi
[ "$1" = -s ] || {{ echo "error: no serial given" >&2; exit 1; }}
echo "$*" >>{root}/calls
command=$3
here() {{ printf '%s' "$1" | sed 's#/data/local/tmp#{root}#g'; }}
if [ "$command" = push ]; then cp "$4" "$(here "$5")"; exit; fi
exec sh -c "$(here "$4")"
""",
        encoding="utf-8",
    )
    path.chmod(0o755)


def trtexec(arguments: list[str]) -> str:
    """Do what trtexec would do with the files, and return what it would print."""
    from tests.support.tool_outputs import HELP_8_0, TRTEXEC_FAILED, TRTEXEC_LOG, exported_profile, exported_times

    options = dict(argument.lstrip("-").partition("=")[::2] for argument in arguments)
    if "help" in options:
        return HELP_8_0
    if "saveEngine" in options:
        if not Path(options["onnx"]).read_bytes().startswith(b"\x08"):  # the tag of an ONNX file's first field
            return TRTEXEC_FAILED
        shutil.copy(options["onnx"], options["saveEngine"])
        if "timingCacheFile" in options:
            with Path(options["timingCacheFile"]).open("a", encoding="utf-8") as cache:
                cache.write("built\n")
        return TRTEXEC_LOG
    engine = Path(options["loadEngine"]).read_bytes()
    if "exportOutput" in options:
        Path(options["exportOutput"]).write_text(_outputs(engine, options["loadInputs"]), encoding="utf-8")
        return TRTEXEC_LOG
    ms = len(engine) / 1e5
    if "exportProfile" in options:
        names = sorted(set(re.findall(rb"/(?:stem|blocks|final|pooling|feature|classifier)[\w./]*/[A-Z]\w*", engine)))
        layers = {name.decode(): ms / len(names) for name in names if not name.endswith(b"_0")}
        Path(options["exportProfile"]).write_text(exported_profile(layers, median=False), encoding="utf-8")
    else:
        warmup = float(options["warmUp"])
        times = exported_times([ms] * 20, begin=warmup, old=True)
        Path(options["exportTimes"]).write_text(times, encoding="utf-8")
    return TRTEXEC_LOG


def _outputs(model: bytes, spec: str) -> str:
    """Return what `--exportOutput` would write: an engine of the stand-in is the ONNX file that it was built of."""
    import numpy as np
    import onnxruntime

    from tests.support.tool_outputs import exported_output

    name, _, path = spec.partition(":")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    image = np.fromfile(path, dtype=np.float32).reshape(session.get_inputs()[0].shape)
    (logits,) = session.run(None, {name: image})
    return exported_output(session.get_outputs()[0].name, logits.shape, logits.ravel().tolist())


def benchmark_model(arguments: list[str]) -> str:
    """Return what benchmark_model would print."""
    from tests.support.tool_outputs import benchmark_report

    options = dict(argument.lstrip("-").partition("=")[::2] for argument in arguments)
    model = Path(options["graph"]).read_bytes()
    if model[4:8] != b"TFL3":
        return f"INFO: STARTING!\nERROR: Could not load model {options['graph']}\n"
    return benchmark_report(max(1.0, len(model) / 1e5))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    answer = {"trtexec": trtexec, "benchmark_model": benchmark_model}[sys.argv[1]](sys.argv[2:])
    sys.stdout.write(answer)
