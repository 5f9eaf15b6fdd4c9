"""Pure part: search spaces, architectures, layers, costs, devices and latency. Standard library and numpy only."""
