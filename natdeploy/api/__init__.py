"""The work of the commands, with typed arguments and frozen results; the only place where parts are put together.

`__init__.pyi` lists the names. They are imported when they are first used: looking at a subnet must not wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
