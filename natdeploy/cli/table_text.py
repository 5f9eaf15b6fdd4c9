"""Latency tables as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from natdeploy.cli.output import print_line

if TYPE_CHECKING:
    from natdeploy.api import TableResult
    from natdeploy.api.latency.results import LatencyCorrection, Validation

_PROVENANCE = {
    "measured": "measured layer by layer on the device",
    "imported": "copied from a table that others measured",
    "fitted": "fitted to measurements of whole networks",
    "calibrated": "another device's rows, their sums corrected by networks measured here",
    "estimated": "estimated from the device's description: nothing was run",
}


def print_header(result: TableResult) -> None:
    """Print what a table was measured on, and its errors."""
    for line in _lines(result):
        print_line(line)


def describe_errors(networks: str, errors: Validation, *, with_spearman: bool = False) -> str:
    """Return the errors of a table over some networks as a line of text.

    Args:
        networks: What kind of networks these are.
        errors: The errors.
        with_spearman: Whether the line has Spearman's rank correlation beside Kendall's.
    """
    spearman = f"Spearman {errors.spearman_rho:.3f}, " if with_spearman else ""
    return (
        f"error over {errors.networks} {networks}: MAPE {errors.mape_percent:.2f} %, "
        f"max {errors.max_error_percent:.2f} %, within 5 %: {100 * errors.within_5_percent:.0f} %, "
        f"{spearman}Kendall tau {errors.kendall_tau:.3f}"
    )


def _lines(result: TableResult) -> Iterator[str]:
    table = result.content
    yield f"{table.deployment}"
    yield f"{table.provenance} ({table.method}): {_PROVENANCE[table.provenance]}"
    yield f"{len(table.rows)} rows" + (f"; folded into other rows: {', '.join(table.folded)}" if table.folded else "")
    if result.resolutions:
        yield f"resolutions {', '.join(map(str, result.resolutions))}"
    for name, value in (("runtime version", table.runtime_version), ("machine", table.fingerprint)):
        if value is not None:
            yield f"{name}: {value}"
    if table.created:
        yield f"created {table.created}"
    if table.validation is None and table.random_validation is None:
        yield "never compared with a network that was really run"
    if table.validation is not None:
        yield describe_errors("networks", table.validation, with_spearman=True)
    if table.random_validation is not None:
        yield describe_errors("random networks", table.random_validation, with_spearman=True)
    if table.latency_correction is not None:
        yield from _correction(table.latency_correction)
    yield from _conditions(table.conditions)
    if result.replaced is not None:
        yield f"replaced table: {result.replaced}"
    yield f"table: {result.table}"


def _correction(found: LatencyCorrection) -> Iterator[str]:
    if (found.alpha_ms, found.beta, found.gamma_ms) != (0.0, 1.0, 0.0):
        yield f"prediction: {found.beta:.4g} x sum {found.gamma_ms:+.4g} ms x blocks {found.alpha_ms:+.4g} ms"
    yield (
        f"at most {found.upper_ratio:.3f} times the prediction with {100 * found.coverage:.0f} % coverage, at least "
        f"{found.lower_ratio:.3f} times with the same (from {found.networks} networks)"
    )


def _conditions(conditions: Mapping[str, Any]) -> Iterator[str]:
    for name, value in conditions.items():
        if isinstance(value, Mapping):
            yield f"{name}: " + ", ".join(f"{key} {item}" for key, item in value.items())
        else:
            yield f"{name}: {value}"
