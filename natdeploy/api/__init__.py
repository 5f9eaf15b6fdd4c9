"""The work of the commands with typed arguments and frozen results; the only place where parts are put together."""

from natdeploy.api.context import Context, SilentReporter, SystemClock
from natdeploy.api.demonstration import DemoResult, demo
from natdeploy.api.exporting import ExportResult, export
from natdeploy.api.latency import measure, predict, profile
from natdeploy.api.results import (
    Choice,
    DeviceState,
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
from natdeploy.api.subnets import extract, extract_from_run, inspect, load_subnet
from natdeploy.api.system import devices, doctor, tables
from natdeploy.errors import InterruptedWorkError

__all__ = [
    "Choice",
    "Context",
    "DemoResult",
    "DeviceState",
    "ExportResult",
    "ExtractResult",
    "Finding",
    "InspectResult",
    "InterruptedWorkError",
    "MeasureResult",
    "PredictResult",
    "ProfileResult",
    "SearchResult",
    "SilentReporter",
    "SystemClock",
    "TableState",
    "demo",
    "devices",
    "doctor",
    "export",
    "extract",
    "extract_from_run",
    "inspect",
    "load_subnet",
    "measure",
    "predict",
    "profile",
    "report",
    "resume",
    "search",
    "tables",
]
