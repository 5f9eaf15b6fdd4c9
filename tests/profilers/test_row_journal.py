"""The journal of a profile."""

import pytest

from natdeploy.core.architecture import smallest
from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import walk
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.journal import Journal
from natdeploy.profilers.row_journal import RowJournal
from natdeploy.profilers.sessions import MeasurementSession

STARTER = find_space("starter")
STATS = LatencyStats(median_ms=1.0, p10_ms=0.9, p90_ms=1.1, mean_ms=1.0, std_ms=0.1, runs=10)
LAYER = walk(STARTER, smallest(STARTER), 10)[0]


def opened(path, **changes):
    """Return the journal of a profile."""
    return RowJournal(Journal(path), **{"key": "board", "references": [(LAYER,)], "fresh": False, **changes})


def test_sessions_are_read_again(tmp_path):
    """A session that was appended is there at once and later; with other reference networks its level is unknown."""
    path, session = tmp_path / "journal.jsonl", MeasurementSession(rows={LAYER: STATS}, reference_latency_ms=2.0)
    journal = opened(path)
    journal.append(session)
    assert journal.sessions == [session]
    assert opened(path).sessions == [session]
    assert opened(path, references=[]).sessions[0].reference_latency_ms is None
    assert opened(path, key="another board").sessions == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"median_ms": 1.0', '"median_ms": -1.0'),
        ('"median_ms": 1.0', '"median_ms": true'),
        ('"median_ms": 1.0', '"median_ms": "1.0"'),
        ('"op": "stem"', '"op": "root"'),
        ('"in_size": 32', '"in_size": -32'),
        ('"kernel": 3', '"kernel": "3"'),
        ('"reference_latency_ms": 2.0', '"reference_latency_ms": 0'),
        ('"reference_latency_ms": 2.0', '"reference_latency_ms": "2.0"'),
    ],
)
def test_an_edited_session_is_not_believed(tmp_path, before, after):
    """What no measurement gives, and layers that do not exist, are refused with the way out."""
    path = tmp_path / "journal.jsonl"
    opened(path).append(MeasurementSession(rows={LAYER: STATS}, reference_latency_ms=2.0))
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    with pytest.raises(InputError, match=r"journal\.jsonl: not the journal of a profile") as caught:
        opened(path)
    assert "delete the file" in caught.value.hint


@pytest.mark.parametrize("event", [{"kind": "rows"}, {"kind": "rows", "reference": "nets", "rows": 3}, {"no": "kind"}])
def test_an_event_that_is_none_of_a_profile_is_named(tmp_path, event):
    """A journal of another kind, or of an earlier version, is one clear error with the file and the way out."""
    path = tmp_path / "journal.jsonl"
    opened(path).append(MeasurementSession(rows={LAYER: STATS}, reference_latency_ms=2.0))
    Journal(path).append(event)
    with pytest.raises(InputError, match=r"journal\.jsonl: not the journal of a profile") as caught:
        opened(path)
    assert "delete the file" in caught.value.hint
