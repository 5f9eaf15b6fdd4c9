"""The contract of search spaces, kept by those that are known."""

import pytest

from natdeploy.core.space import SPACES
from natdeploy.testing.spaces import SpaceContract
from tests.support.strategies import SMALL


class TestStarter(SpaceContract):
    """The space for small pictures."""

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        """Return the space."""
        return SPACES["starter"]


class TestNat(SpaceContract):
    """Both widths of the paper's space."""

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        """Return the space."""
        return SPACES["nat"]


class TestSmall(SpaceContract):
    """Two widths, two kernels, and depths with a gap."""

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        """Return the space."""
        return SMALL
