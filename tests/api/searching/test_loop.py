"""What a search says of each iteration."""

from natdeploy.api.searching.loop import estimate_remaining_s, format_iteration

EVENT = {"iteration": 3, "kendall": 0.8125, "hypervolume": 0.5, "best_top1": 0.9, "best_within": []}


def test_the_line_has_every_figure() -> None:
    """Iteration, predictor, hypervolume, best top-1, the best within each limit, and the time left are in the line."""
    told = format_iteration({**EVENT, "best_within": [0.75, None]}, new=8, left_s=90.0)
    for part in (
        "iteration 3: 8 new",
        "tau 0.81",
        "hypervolume 0.500",
        "so far 0.900 (within the limits: 0.750, none)",
    ):
        assert part in told
    assert told.endswith("about 90 s left")


def test_what_is_not_known_is_not_told() -> None:
    """A correlation that is not defined says so, and limits and time that are not known are left out."""
    told = format_iteration({**EVENT, "kendall": None}, new=0, left_s=None)
    assert "tau not defined" in told
    assert "within" not in told
    assert "left" not in told
    assert "about 3 min left" in format_iteration(EVENT, new=8, left_s=180.0)


def test_the_time_left_is_that_of_the_iterations_before() -> None:
    """It is the mean time of an iteration for each that is to come; a single one tells nothing."""
    assert estimate_remaining_s([10.0], 5) is None
    assert estimate_remaining_s([10.0, 14.0, 22.0], 5) == 30.0
