"""Latency: profiling devices, predicting by tables, measuring whole networks, and the tables themselves."""
