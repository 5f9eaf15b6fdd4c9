"""Searching: a NAT search that trains, one by predicted accuracy, and a new choice from a finished run."""
