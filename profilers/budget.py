"""Profiling within a limited time: what is measured first, and how thoroughly."""

from __future__ import annotations

from collections.abc import Sequence

from natdeploy.ports import Clock

Place = tuple[float, int]
_FOR_ROWS = 0.7
_LEAST_EFFORT = 0.2


class Budget:
    """Time that a profile may take.

    Seven tenths are for the layers, the rest is for the whole networks that validate the table. If there is not enough
    time for everything, each session gets less effort. With less than a fifth of the usual effort noise would spoil the
    result, so places are left out instead.

    Args:
        seconds: The time, which starts to run now.
        clock: Source of time.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._started = clock.seconds()
        self._full_s: list[float] = []

    def choose_effort(self, places: int) -> float | None:
        """Return the effort, between 0.2 and 1, for the next of `places` waiting places; None if no time is left.

        How long a session takes is not known before the first one, so that one is made with the least effort.
        """
        if not self._full_s:
            return _LEAST_EFFORT
        affordable = self._left_s(_FOR_ROWS) / self._full_session_s
        return None if affordable < _LEAST_EFFORT else min(max(affordable / places, _LEAST_EFFORT), 1.0)

    def record(self, effort: float, seconds: float) -> None:
        """Record that a session with `effort` took `seconds`."""
        self._full_s.append(seconds / effort)

    def choose_check_effort(self, networks: int, networks_a_session: int) -> float:
        """Return the effort, between 0.2 and 1, for timing `networks`, if a session times `networks_a_session`."""
        if not self._full_s:
            return _LEAST_EFFORT
        full_s = self._full_session_s * networks / networks_a_session
        return min(max(self._left_s(1.0) / full_s, _LEAST_EFFORT), 1.0)

    @property
    def _full_session_s(self) -> float:
        return sum(self._full_s) / len(self._full_s)

    def _left_s(self, share: float) -> float:
        return self._seconds * share - (self._clock.seconds() - self._started)


def sort_by_importance(places: Sequence[Place]) -> list[Place]:
    """Return widths and resolutions in an order in which every beginning of the list covers the range well.

    At each width the resolution in the middle comes first. The next one is always the one that is farthest from all
    before it; of equally far ones, the larger.
    """
    by_width = {width: _spread([size for own, size in places if own == width]) for width, _ in places}
    longest = max(map(len, by_width.values()), default=0)
    return [(width, sizes[turn]) for turn in range(longest) for width, sizes in by_width.items() if turn < len(sizes)]


def _spread(sizes: Sequence[int]) -> list[int]:
    waiting = sorted(sizes)
    chosen = [waiting.pop(len(waiting) // 2)]
    while waiting:
        farthest = max(waiting, key=lambda size: (min(abs(size - known) for known in chosen), size))
        waiting.remove(farthest)
        chosen.append(farthest)
    return chosen
