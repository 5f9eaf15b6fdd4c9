"""Searches: NAT with training, search without training, and another selection from a finished run."""
