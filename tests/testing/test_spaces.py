"""The contract of search spaces, kept by those that are known."""

import pytest

from natdeploy.io.spaces import find_space
from natdeploy.testing.spaces import SpaceContract
from tests.support.strategies import MIXED, SMALL


class TestStarter(SpaceContract):
    """The space for small pictures."""

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        """Return the space."""
        return find_space("starter")


class TestNat(SpaceContract):
    """Both widths of the paper's space."""

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        """Return the space."""
        return find_space("nat")


class TestSmall(SpaceContract):
    """Two widths, two kernels, and depths with a gap."""

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        """Return the space."""
        return SMALL


class TestMixed(SpaceContract):
    """Stages and blocks with choices of their own, TensorFlow's padding, EfficientNet's units."""

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        """Return the space."""
        return MIXED
