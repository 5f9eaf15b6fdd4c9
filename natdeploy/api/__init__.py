"""The work of the commands with typed arguments and frozen results; the only place where parts are put together.

Names are imported when they are first used: looking at a subnet must not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from natdeploy.api.adapting import adapt, resume_adaptation
    from natdeploy.api.context import Context, SilentReporter, SystemClock
    from natdeploy.api.deciding_again import search_from
    from natdeploy.api.demonstration import DemoResult, demo
    from natdeploy.api.exporting import ExportResult, export
    from natdeploy.api.latency import measure, predict, profile
    from natdeploy.api.predicted import search_predicted
    from natdeploy.api.pretraining import pretrain, resume_pretraining
    from natdeploy.api.published_networks import extract_network
    from natdeploy.api.results import (
        Choice,
        DeviceLatency,
        DeviceState,
        DeviceTable,
        ExtractResult,
        Finding,
        InspectResult,
        MeasureResult,
        PredictResult,
        ProfileResult,
        SearchResult,
        TableState,
    )
    from natdeploy.api.searching import report, resume, search
    from natdeploy.api.side_by_side import DeviceFailure, ProfilesResult, profile_devices
    from natdeploy.api.subnets import extract, extract_from_run, inspect, load_subnet
    from natdeploy.api.system import devices, doctor, tables
    from natdeploy.api.table_checking import check_table, show_table
    from natdeploy.api.table_making import calibrate_table, fit_table, import_table
    from natdeploy.api.table_results import CheckResult, TableResult
    from natdeploy.api.training_runs import TrainingResult
    from natdeploy.errors import InterruptedWorkError
    from natdeploy.export.options import ExportOptions

__all__ = [
    "CheckResult",
    "Choice",
    "Context",
    "DemoResult",
    "DeviceFailure",
    "DeviceLatency",
    "DeviceState",
    "DeviceTable",
    "ExportOptions",
    "ExportResult",
    "ExtractResult",
    "Finding",
    "InspectResult",
    "InterruptedWorkError",
    "MeasureResult",
    "PredictResult",
    "ProfileResult",
    "ProfilesResult",
    "SearchResult",
    "SilentReporter",
    "SystemClock",
    "TableResult",
    "TableState",
    "TrainingResult",
    "adapt",
    "calibrate_table",
    "check_table",
    "demo",
    "devices",
    "doctor",
    "export",
    "extract",
    "extract_from_run",
    "extract_network",
    "fit_table",
    "import_table",
    "inspect",
    "load_subnet",
    "measure",
    "predict",
    "pretrain",
    "profile",
    "profile_devices",
    "report",
    "resume",
    "resume_adaptation",
    "resume_pretraining",
    "search",
    "search_from",
    "search_predicted",
    "show_table",
    "tables",
]

_MODULES = {
    "api.adapting": ("adapt", "resume_adaptation"),
    "api.context": ("Context", "SilentReporter", "SystemClock"),
    "api.deciding_again": ("search_from",),
    "api.demonstration": ("DemoResult", "demo"),
    "api.exporting": ("ExportResult", "export"),
    "api.latency": ("measure", "predict", "profile"),
    "api.predicted": ("search_predicted",),
    "api.pretraining": ("pretrain", "resume_pretraining"),
    "api.published_networks": ("extract_network",),
    "api.searching": ("report", "resume", "search"),
    "api.side_by_side": ("DeviceFailure", "ProfilesResult", "profile_devices"),
    "api.subnets": ("extract", "extract_from_run", "inspect", "load_subnet"),
    "api.system": ("devices", "doctor", "tables"),
    "api.table_checking": ("check_table", "show_table"),
    "api.table_making": ("calibrate_table", "fit_table", "import_table"),
    "api.table_results": ("CheckResult", "TableResult"),
    "api.training_runs": ("TrainingResult",),
    "errors": ("InterruptedWorkError",),
    "export.options": ("ExportOptions",),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"natdeploy.{_PLACES.get(name, 'api.results')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
