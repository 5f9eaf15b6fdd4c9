"""Pure values: search spaces, architectures, layers, costs, devices and latency, with numpy and no other package."""
