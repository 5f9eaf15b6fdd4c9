"""Training a supernet without searching it: from random weights, or adapted to a task."""
