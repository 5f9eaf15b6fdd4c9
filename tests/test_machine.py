"""What the machine has to give."""

import pytest

from natdeploy.machine import available_bytes, list_gpus, usable_cores


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


def test_gpus_are_read_from_the_driver(tmp_path):
    """Each GPU that the driver describes is named, in the order of its address."""
    for address, model in (("0000:81:00.0", "NVIDIA H200"), ("0000:01:00.0", "NVIDIA RTX A2000")):
        (tmp_path / address).mkdir()
        (tmp_path / address / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 63\nGPU UUID: \t GPU-1\n")
    assert list_gpus(tmp_path) == ["NVIDIA RTX A2000", "NVIDIA H200"]


def test_without_the_driver_s_folder_nvidia_smi_is_asked(tmp_path, monkeypatch):
    """What `nvidia-smi` lists is taken; a machine without it, or on which it fails, has no GPU."""
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_gpus(tmp_path / "absent") == []
    program.write_text("#!/bin/sh\necho Orin\n")
    program.chmod(0o755)
    assert list_gpus(tmp_path / "absent") == ["Orin"]
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert list_gpus(tmp_path / "absent") == []
