"""natdeploy: Neural Architecture Transfer as a hardware-aware deployment toolkit.

The functions of `natdeploy.api` are here too, imported when they are first used, since torch takes seconds; `search`
and `export`, which are also names of packages, are found in `natdeploy.api` alone.
"""

import os

import lazy_loader

# ONNX Runtime sends telemetry unless this is set before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
