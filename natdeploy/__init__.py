"""natdeploy: Neural Architecture Transfer as a hardware-aware deployment toolkit."""

__version__ = "0.1.0"
