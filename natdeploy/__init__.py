"""natdeploy: Neural Architecture Transfer as a hardware-aware deployment toolkit.

The functions of `natdeploy.api` are here too, imported when they are first used, since torch takes seconds; `search`
and `export`, which are also names of packages, are found in `natdeploy.api` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from natdeploy.version import __version__

if TYPE_CHECKING:
    from natdeploy.api import (
        Context,
        calibrate_table,
        check_table,
        demo,
        devices,
        doctor,
        extract,
        extract_from_run,
        fit_table,
        import_table,
        inspect,
        load_subnet,
        measure,
        predict,
        report,
        resume,
        show_table,
        tables,
    )

__all__ = [
    "Context",
    "__version__",
    "calibrate_table",
    "check_table",
    "demo",
    "devices",
    "doctor",
    "extract",
    "extract_from_run",
    "fit_table",
    "import_table",
    "inspect",
    "load_subnet",
    "measure",
    "predict",
    "report",
    "resume",
    "show_table",
    "tables",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in __all__ or name == "__version__":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from natdeploy import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
