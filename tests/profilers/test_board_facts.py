"""What a shell tells of a device."""

import dataclasses

import pytest

from natdeploy.ports import Finished
from natdeploy.profilers.board_facts import make_core_mask, parse_conditions, read_fingerprint


@pytest.mark.parametrize(
    ("clocks", "threads", "mask"),
    [
        ({0: 1800, 1: 1800, 2: 1800, 3: 1800, 4: 2400, 5: 2400, 6: 2400, 7: 2800}, 1, "80"),
        ({0: 1800, 1: 1800, 2: 1800, 3: 1800, 4: 2400, 5: 2400, 6: 2400, 7: 2800}, 2, "f0"),
        ({0: 2400, 1: 2400}, 1, "3"),
        ({0: 2400, 1: 1200}, 4, "3"),
        ({}, 1, None),
    ],
)
def test_the_mask_is_of_the_fastest_cores(clocks, threads, mask):
    """The fastest cores are taken, and the next class where they are fewer than the threads."""
    assert make_core_mask(clocks, threads) == mask


def test_conditions_are_read_from_what_a_shell_tells():
    """Of several readings of one thing the first counts, of temperatures the highest; what is no number is left out."""
    facts = [
        ("chip", "Board"),
        ("chip", "second"),
        ("cores", "4"),
        ("clock_khz", "1500000"),
        ("temperature", "41000"),
        ("temperature", "47500"),
        ("temperature", "broken"),
    ]
    assert parse_conditions(facts) == {
        "chip": "Board",
        "cores": 4,
        "clock_mhz": 1500,
        "temperature_c": 47.5,
    }


@dataclasses.dataclass
class Shell:
    """A device whose shell answers every command with the same text."""

    stdout: str

    def run(self, command, *, timeout_s, stdin=b""):
        """Answer."""
        return Finished(exit_code=0, stdout=self.stdout, stderr="")


def test_a_fingerprint_tells_equal_boards_apart():
    """The first name and the first serial number count; boards that have neither still differ by their cores."""
    named = Shell(
        "machine Linux aarch64\nchip  \nchip Board\nchip Soc\nparts 0xd05 0xd0b \ncores 8\nserial 42\nserial 7\n"
    )
    assert read_fingerprint(named, "1") == (
        "Board; 8 cores; Linux aarch64; cores of type 0xd05 0xd0b; serial 42; runtime 1"
    )
    first, second = (Shell(f"machine Linux aarch64\ncores 4\nparts {part}\n") for part in ("0xd03", "0xd08"))
    assert read_fingerprint(first, "1") != read_fingerprint(second, "1")
