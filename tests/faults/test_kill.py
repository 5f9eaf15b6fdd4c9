"""Commands that are stopped at random moments."""

import random
import signal
from pathlib import Path

import pytest

from tests.support.campaign import JOBS, Campaign, prepare
from tests.support.commands import Workplace

pytestmark = pytest.mark.integration
KILLS, TERMINATIONS = 12, 4


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """A folder with what the jobs read."""
    made = Workplace(tmp_path)
    prepare(made)
    return made


def test_a_killed_search_ends_in_the_same_archive(workplace: Workplace) -> None:
    """SIGKILL at a random moment, then `--resume`: results are those of an undisturbed search, nothing else stays."""
    campaign = Campaign(workplace, JOBS["search"], seed=1)
    campaign.stop(signal.SIGKILL)
    campaign.end()


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", JOBS)
def test_whatever_is_stopped_ends_the_same(name: str, workplace: Workplace) -> None:
    """SIGKILLs and SIGTERMs at random moments change no result, and the next command leaves nothing of them behind."""
    campaign = Campaign(workplace, JOBS[name], seed=KILLS)
    signals = [signal.SIGKILL] * KILLS + [signal.SIGTERM] * TERMINATIONS
    random.Random(name).shuffle(signals)
    for number in signals:
        campaign.stop(number)
    campaign.end()
