"""Contract suites and fakes for a new profiler, timer, exporter, runtime, transport or predictor."""
