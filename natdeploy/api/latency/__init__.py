"""Latency: profiling devices, predicting by tables, measuring whole networks, and the tables themselves."""

from natdeploy.core.device import TableSelector

__all__ = ["TableSelector"]
