"""No damage to any program's output gives a latency that is none, or an error that is not one of natdeploy's."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from natdeploy.errors import InputError
from natdeploy.runtimes.benchmark_model import read_stats
from natdeploy.runtimes.tool_output import combine_runs
from natdeploy.runtimes.trtexec import TrtexecFlags
from natdeploy.runtimes.trtexec_files import read_layer_info, read_profile, read_times
from natdeploy.runtimes.trtexec_operators import make_operator_profile
from tests.support.tool_outputs import (
    HELP_10,
    SAMPLES,
    TIMED,
    exported_profile,
    exported_times,
)

Reader = Callable[[str], Iterable[float]]
READERS: dict[str, Reader] = {
    "trtexec times": lambda text: read_times(text, warmup_ms=1, version=(8, 2, 1)),
    "trtexec profile": lambda text: [make_operator_profile(read_profile(text)).times_us.sum()],
    "benchmark_model": lambda text: [combine_runs([read_stats(text)]).median_ms],
}
WHOLE = {
    "trtexec times": [exported_times([5.0, 4.0, 6.0], old=True), exported_times([5.0, 4.0])],
    "trtexec profile": [exported_profile({"/stem/conv/Conv": 1.5, "Reformatting CopyNode": 0.0, "/b/Gemm": 0.5})],
    "benchmark_model": [TIMED],
}
GARBAGE = st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("utf-8", errors="replace"))
# A busy machine may take long over any one text.
FEW = settings(max_examples=60)
PIECES = st.sampled_from(
    [
        "count=",
        "avg=0",
        "nan",
        "-1",
        "1e999",
        "[E]",
        "&&&& PASSED",
        "NaN",
        "{",
        "]",
        ",",
        "\n",
        "\t",
        "\0",
        "%",
        "ms",
        "٣",
    ]
)


def check(read: Reader, text: str) -> None:
    """Read a text: a latency is positive and finite, an error is an `InputError`."""
    with contextlib.suppress(InputError):
        for value in read(text):
            assert math.isfinite(value)
            assert value > 0


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("text", ["", "\n", "\0" * 50, "\x7fELF\x02\x01", "[]", "{}", "null", "[" * 100_000, "1e999"])
def test_what_is_no_output_at_all_is_refused(name, text):
    """Empty, binary, and JSON of something else."""
    with pytest.raises(InputError):
        READERS[name](text)


@pytest.mark.parametrize("name", READERS)
def test_an_output_is_read_whole(name):
    """The texts that the other tests damage are good ones."""
    for text in WHOLE[name]:
        assert all(value > 0 for value in READERS[name](text))


@pytest.mark.parametrize("name", READERS)
@FEW
@given(text=GARBAGE)
def test_garbage_is_refused(name, text):
    """Whatever the text, there is no latency in it."""
    with pytest.raises(InputError):
        READERS[name](text)


@pytest.mark.parametrize("name", READERS)
@FEW
@given(data=st.data())
def test_damage_gives_an_error_or_a_positive_figure(name, data):
    """A piece is cut out of a good text and another put in its place."""
    text = data.draw(st.sampled_from(WHOLE[name]))
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 60)))
    check(READERS[name], text[:begin] + data.draw(PIECES | st.just("") | st.text(max_size=5)) + text[end:])


@pytest.mark.parametrize("name", READERS)
@FEW
@given(data=st.data())
def test_lines_in_disorder_give_an_error_or_a_positive_figure(name, data):
    """Lines are left out, doubled or moved."""
    lines = data.draw(st.sampled_from(WHOLE[name])).splitlines()
    picked = data.draw(st.lists(st.integers(0, len(lines) - 1), max_size=len(lines) + 3))
    check(READERS[name], "\n".join(lines[place] for place in picked))


@FEW
@given(data=st.data())
def test_damaged_help_and_layer_info_are_read_or_refused(data):
    """They hold no latency, and fail in one way alone."""
    for read, text in ((TrtexecFlags.from_help, HELP_10), (read_layer_info, '{"Layers": ["a", {"Name": "b"}]}')):
        begin = data.draw(st.integers(0, len(text)))
        with contextlib.suppress(InputError):
            read(
                text[:begin] + data.draw(PIECES | st.text(max_size=20)) + text[begin + data.draw(st.integers(0, 20)) :]
            )


def test_every_sample_is_read_by_its_own_reader_alone():
    """Each real output is refused by the readers of the other programs, and none raises anything else."""
    if not SAMPLES.is_dir():
        pytest.skip(f"{SAMPLES} is absent: set NATDEPLOY_SHARED_DATA")
    readable = {}
    for path in sorted(SAMPLES.iterdir()):
        text = path.read_text(encoding="utf-8")
        readable[path.name] = []
        for name, read in READERS.items():
            with contextlib.suppress(InputError):
                assert all(value > 0 for value in read(text))
                readable[path.name].append(name)
    assert {name: by for name, by in readable.items() if by} == {
        "CONSTRUCTED_trtexec_exportTimes_8.0-8.2.json": ["trtexec times"],
        "CONSTRUCTED_trtexec_exportTimes_8.5plus.json": ["trtexec times"],
        "tflite_benchmark_model_android_logcat_2026.txt": ["benchmark_model"],
        "tflite_benchmark_model_gpu_2023.txt": ["benchmark_model"],
        "tflite_benchmark_model_linux_x86_2024_op_profiling.txt": ["benchmark_model"],
        "trtexec_exportProfile_8.5plus_median.json": ["trtexec profile"],
    }
