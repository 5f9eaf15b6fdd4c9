"""Contract tests and fakes that a new profiler, exporter or runtime can subclass."""
