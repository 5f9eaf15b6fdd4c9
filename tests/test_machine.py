"""What the machine has to give."""

import pytest

from natdeploy.machine import available_bytes, usable_cores


@pytest.fixture
def meminfo(tmp_path):
    """Linux's account of 3 GB that are available."""
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:       8000000 kB\nMemFree:         100000 kB\nMemAvailable:    3000000 kB\n")
    return path


def limit(folder, maximum, current):
    """Write what a control group says."""
    folder.mkdir()
    (folder / "memory.max").write_text(f"{maximum}\n")
    (folder / "memory.current").write_text(f"{current}\n")
    (folder / "memory.stat").write_text("anon 7\ninactive_file 100\n")
    return folder


def test_available_memory_is_the_system_s(tmp_path, meminfo):
    """Not the free, but the available memory counts."""
    assert available_bytes(meminfo, tmp_path / "absent") == 3_000_000 * 1024


@pytest.mark.parametrize(
    ("maximum", "current", "expected"),
    [("1000000000", "400000100", 600_000_000), ("max", "5", 3_000_000 * 1024), ("1000", "4000", 0)],
)
def test_a_container_s_limit_counts(tmp_path, meminfo, maximum, current, expected):
    """What a container may still take is the bound where it is less; a limit already passed leaves nothing."""
    assert available_bytes(meminfo, limit(tmp_path / "group", maximum, current)) == expected


def test_elsewhere_memory_is_guessed(tmp_path):
    """Without Linux's account there still is a figure."""
    assert 1 << 27 < available_bytes(tmp_path / "absent", tmp_path / "absent") < 1 << 45


def test_there_is_a_core():
    """At least the one that this runs on."""
    assert usable_cores() >= 1
