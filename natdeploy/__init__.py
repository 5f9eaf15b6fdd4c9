"""natdeploy: Neural Architecture Transfer as a hardware-aware deployment toolkit.

The functions of `natdeploy.api` are here too, imported when they are first used, since torch takes seconds; `search`
and `export`, which are also names of packages, are found in `natdeploy.api` alone.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
