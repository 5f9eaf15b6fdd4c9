"""Progress on stderr where there is no terminal."""

import pytest

from natdeploy.cli import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock in seconds that tests move: a list with the present time."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def tell(clock, steps):
    """Report each (time, done) of 1,000 steps of one stage."""
    reporter = progress.PlainReporter()
    for seconds, done in steps:
        clock[0] = 100.0 + seconds
        reporter.progress("training", done, 1000, "epoch 1 of 2")


def test_lines_come_every_few_seconds_with_the_time_left(clock, capsys):
    """Steps within 5 s of the latest line print nothing; the rate that gives the time left counts from the first."""
    tell(clock, [(0, 500), (1, 510), (4, 540), (6, 560), (7, 570), (11.5, 615)])
    assert capsys.readouterr().err.splitlines() == [
        "training: 560/1000, epoch 1 of 2, about 44 s left",
        "training: 615/1000, epoch 1 of 2, about 38 s left",
    ]


def test_a_long_stage_prints_less_and_less(clock, capsys):
    """A report every second gives seven lines in the first half minute, and one a minute in the second half hour."""
    tell(clock, [(second, second // 4) for second in range(3600)])
    done = [int(line.split()[1].split("/")[0]) for line in capsys.readouterr().err.splitlines()]
    assert len([count for count in done if count <= 30 // 4]) in (5, 6, 7)
    assert len([count for count in done if count > 1800 // 4]) in (29, 30)


def test_the_end_of_a_stage_is_always_told(clock, capsys):
    """The last step prints its line at once, without a time left; long waits are given in minutes."""
    tell(clock, [(0, 0), (10, 10), (11, 1000)])
    first, last = capsys.readouterr().err.splitlines()
    assert first == "training: 10/1000, epoch 1 of 2, about 16 min left"
    assert last == "training: 1000/1000, epoch 1 of 2"
