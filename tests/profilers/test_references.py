"""Reference networks of a table, and the level of a machine by them."""

from __future__ import annotations

import dataclasses

import pytest

from natdeploy.core.latency import LatencyStats
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space, shipped_spaces
from natdeploy.io.tables import format_table, parse_table
from natdeploy.profilers.references import Reference, choose_reference_place, read_reference
from natdeploy.testing.tables import made_up_table

STARTER = find_space("starter")
REFERENCE = Reference(place=choose_reference_place(STARTER), latency_ms=2.0)


def stats(median_ms: float) -> LatencyStats:
    """Return a steady latency."""
    return LatencyStats(median_ms=median_ms, p10_ms=median_ms, p90_ms=median_ms, mean_ms=median_ms, std_ms=0.0, runs=1)


def test_the_level_is_the_speed_relative_to_the_table() -> None:
    """A machine that takes half as long again as its table says has two thirds of the speed."""
    assert REFERENCE.compute_level([stats(3.0)] * 3) == pytest.approx(2 / 3)
    assert REFERENCE.compute_level([stats(1.0), stats(2.0), stats(4.0)]) == pytest.approx(1)


def test_a_table_keeps_its_reference(tmp_path) -> None:
    """What a profile writes into the file is read as the same networks with the same latency."""
    table = dataclasses.replace(made_up_table(STARTER), conditions={"seed": 0, **REFERENCE.to_conditions()})
    found = read_reference(parse_table(format_table(table), "table.csv"), shipped_spaces())
    assert found is not None
    assert found.latency_ms == 2.0
    assert found.place.make_networks() == REFERENCE.place.make_networks()
    assert {network[0].in_size for network in found.place.make_networks()} == {STARTER.resolutions[1]}


def test_a_table_without_reference_has_no_level() -> None:
    """Imported and fitted tables, and those of an unknown space, give none."""
    assert read_reference(made_up_table(STARTER), shipped_spaces()) is None
    unknown = {"reference": {**REFERENCE.to_conditions()["reference"], "supernet": "a space of later"}}
    assert read_reference(dataclasses.replace(made_up_table(STARTER), conditions=unknown), shipped_spaces()) is None


@pytest.mark.parametrize(
    "damage", [{"latency_ms": 0}, {"latency_ms": "fast"}, {"latency_ms": float("nan")}, {"resolution": None}]
)
def test_a_damaged_reference_is_named(damage) -> None:
    """A reference that cannot be read is one clear error, not a table without reference."""
    entry = {**REFERENCE.to_conditions()["reference"], **damage}
    table = dataclasses.replace(made_up_table(STARTER), conditions={"reference": entry})
    with pytest.raises(InputError, match="damaged 'reference'"):
        read_reference(table, shipped_spaces())
