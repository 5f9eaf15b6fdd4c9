"""Damaged files of every kind that natdeploy reads; `python -m tests.fuzz` tries many of them."""
