"""Telling a machine from the device that it should be."""

import dataclasses

import pytest

from natdeploy.core.device_identity import are_same_machine, describe_machine, find_mismatch
from natdeploy.io.devices import find_device

PI = "Raspberry Pi 5 Model B Rev 1.0 (0x41/0xd0b r4p1); 4 cores; Linux aarch64"
SERVER = "AMD EPYC 7763 64-Core Processor; 2 cores; Linux x86_64; runtime 1.20"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Give the user an empty home folder."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("device", "chip"),
    [
        ("pixel-8", "Pixel 8 Pro Tensor G3"),
        ("pixel-4", "Pixel 4 XL SM8150"),
        ("galaxy-s10", "SM-G973F"),
        ("galaxy-s23", "SM-S911B SM8550"),
        ("galaxy-note10", "SM-N970U1"),
        ("jetson-nano", "NVIDIA Jetson Nano 2GB Developer Kit"),
        ("jetson-orin-nano", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"),
        ("raspberry-pi-4", "Raspberry Pi Compute Module 4 Rev 1.1 (0x41/0xd08 r0p3)"),
        ("raspberry-pi-5", "Raspberry Pi 5 Model B Rev 1.0"),
        ("server-cpu", "AMD EPYC 7763 64-Core Processor"),
    ],
)
def test_a_device_that_is_what_it_should_be_is_not_warned_of(device, chip):
    """Every shipped description knows what its device calls itself, in all variants with the same chip."""
    assert find_mismatch(find_device(device), f"{chip}; 8 cores; Linux aarch64; serial 1; runtime 2") is None


@pytest.mark.parametrize(
    ("device", "chip"),
    [
        ("pixel-8", "Pixel 7 Tensor G2"),
        ("pixel-8", "SM-S911B SM8550"),
        ("pixel-4", "Pixel 4a SM7150"),
        ("galaxy-s10", "SM-G973U SM8150"),
        ("jetson-nano", "NVIDIA Jetson Orin Nano Developer Kit"),
        ("jetson-orin-nano", "NVIDIA Jetson Nano Developer Kit"),
        ("raspberry-pi-5", "Raspberry Pi 4 Model B Rev 1.4"),
        ("raspberry-pi-4", "AMD EPYC 7763 64-Core Processor"),
    ],
)
def test_another_device_is_named_with_what_was_expected(device, chip):
    """A neighbour of the same family, another family, or a server is told apart."""
    said = find_mismatch(find_device(device), f"{chip}; 8 cores; Linux aarch64; serial 1; runtime 2")
    assert said is not None
    assert repr(chip) in said
    assert find_device(device).models[0] in said


def test_a_device_without_known_models_is_judged_by_its_kind():
    """A phone or a board of one's own that turns out to have an x86 processor is an emulator or a wrong address."""
    mine = dataclasses.replace(find_device("pixel-8"), models=())
    assert "x86" in str(find_mismatch(mine, "sdk_gphone64_x86_64; 4 cores; Linux x86_64; runtime 1"))
    assert find_mismatch(mine, "CPH2449 SM8550; 8 cores; Linux aarch64; runtime 1") is None
    assert find_mismatch(dataclasses.replace(mine, kind="server-cpu"), SERVER) is None


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (f"{PI}; serial 10000000a1; runtime 1.20", True),
        (f"{PI.replace('4 cores', '2 cores')}; serial 10000000a1; runtime 1.21", True),
        (f"{PI}; serial 10000000b2; runtime 1.20", False),
        (f"{PI}; runtime 1.20", True),
        (SERVER, False),
    ],
)
def test_machines_are_told_apart_by_serial_and_chip(other, same):
    """Another runtime or fewer cores are the same machine; another serial is not, though the model is equal."""
    mine = f"{PI}; serial 10000000a1; runtime 1.20; timed in its own process"
    assert are_same_machine(mine, other) is same


def test_the_runtime_is_no_part_of_the_machine():
    """Messages name the machine alone."""
    assert describe_machine(f"{PI}; serial 1; runtime 1.20; timed in its own process") == f"{PI}; serial 1"
