"""What a shell tells of a device."""

import pytest

from natdeploy.profilers.board_facts import make_core_mask, parse_conditions


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
        ("load_average", "0.25"),
        ("clock_khz", "1500000"),
        ("temperature", "41000"),
        ("temperature", "47500"),
        ("temperature", "broken"),
    ]
    assert parse_conditions(facts) == {
        "chip": "Board",
        "cores": 4,
        "load_average": 0.25,
        "clock_mhz": 1500,
        "temperature_c": 47.5,
    }
