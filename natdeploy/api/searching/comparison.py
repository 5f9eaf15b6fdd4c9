"""Several runs in one page, and the figures of a run as files, both from the data in the runs' reports."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from natdeploy.api.results import Result
from natdeploy.api.searching.report.document import make_document
from natdeploy.api.searching.report.figures import draw_figures as draw_run
from natdeploy.api.searching.report.page import read_document, render_page
from natdeploy.core.checked import checked
from natdeploy.errors import InputError
from natdeploy.files import require_apart, write_text
from natdeploy.io.runs import RunFolder


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonResult(Result):
    """A page that compares runs.

    Args:
        report: The page.
        runs: The run folders.
    """

    report: Path
    runs: tuple[Path, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FiguresResult(Result):
    """Figures of a run as files.

    Args:
        figures: The files.
    """

    figures: tuple[Path, ...]


@checked
def compare_runs(runs: Sequence[Path], *, output: Path = Path("report.html")) -> ComparisonResult:
    """Write one page that compares the fronts and the choices of several runs.

    Args:
        runs: Run folders, each with its report.
        output: File to write.

    Raises:
        InputError: A folder is not a run or is named twice, a report is missing or of another version, or `output` is
            the report of a run.
        OutputError: The page cannot be written.
    """
    found = tuple(dict.fromkeys(path.resolve() for path in runs))
    if len(found) < len(runs):
        msg = "a run is named twice"
        raise InputError(msg, hint="name each run once")
    require_apart([output], [path / "report.html" for path in runs])
    document = make_document([_read_run(path) for path in runs])
    write_text(output, render_page(document))
    return ComparisonResult(report=output, runs=tuple(runs))


@checked
def draw_figures(run: Path, folder: Path) -> FiguresResult:
    """Write the figures of a run's report as SVG and PNG files.

    Args:
        run: Run folder with its report.
        folder: Folder to write to.

    Raises:
        InputError: `run` is not a run folder, or its report is missing or of another version.
        OutputError: A file cannot be written.
    """
    return FiguresResult(figures=tuple(draw_run(_read_run(run), folder)))


def _read_run(path: Path) -> Mapping[str, Any]:
    """Return what the report of a run says, with commands for the folder where the run is now."""
    RunFolder.open(path)
    run: dict[str, Any] = read_document(path / "report.html")["runs"][0]
    commands, here = run["commands"], shlex.quote(str(path))
    weights = here if commands["weights"] == commands["run"] else commands["weights"]
    return {**run, "name": str(path), "commands": {**commands, "run": here, "weights": weights}}
