"""Selecting a search space."""

from natdeploy.io.spaces import SpaceSelector

__all__ = ["SpaceSelector"]
