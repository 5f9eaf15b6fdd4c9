"""Runtimes open and run model files, on this machine or on a device."""
