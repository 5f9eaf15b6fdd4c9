"""The operator times of TFLite's `benchmark_model`: tables that it prints and files that it writes, old and new."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np

from natdeploy.core.operators import ModelProfile, Node
from natdeploy.errors import InputError
from natdeploy.runtimes.benchmark_model import plain_lines, stats_of
from natdeploy.runtimes.tool_output import NUMBER, RunStats

_RUNS = re.compile(r"Operator-wise Profiling Info\b")
_INITIALIZATION = "Profiling Info for Benchmark Initialization"
_SECTION = re.compile(r"=+ (.+?) =+")
_RUN_ORDER, _SUMMARY = "Run Order", "Summary by node type"
_ORDER_COLUMNS = ("node type", "first", "avg ms", "%", "cdf%", "mem kb", "times called", "name")
_OLD_ORDER_COLUMNS = ("node type", "start", *_ORDER_COLUMNS[1:])
_SUMMARY_COLUMNS = ("node type", "count", "avg ms", "avg %", "cdf %", "mem kb", "times called")
_HEADER_CELL = re.compile(r"\[([^\]]*)\]")
_COUNT = re.compile(r"[0-9]{1,9}")
_NODES = re.compile(r"([0-9]{1,9}) nodes observed")
_TIMINGS = "Timings (microseconds): "
_OUTPUT = re.compile(r"\[(.*)\](?::[0-9]+)?")
_SCOPE = re.compile(r"(?:\w+\.)+[A-Za-z0-9]+_(\w+)")
_WRAPPER = "wrapped"
_FROM_DELEGATE = "Delegate/"
# Rows are printed with three digits after the point, and the total is of fewer or more runs than some rows.
_ROUNDED_MS = 0.0005
_TOLERANCE = 0.02
_OTHERWISE = "time it with --use_xnnpack=false, which is slower; or fit a table to the times of whole networks"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OperatorTime:
    """One row of the operators in the order in which they run.

    Args:
        kind: Node type.
        name: Name: the tensors that it writes, or what a delegate calls it.
        mean_ms: Mean time of one call.
        calls: Calls in one run: operators of a delegate with equal names share a row.
    """

    kind: str
    name: str
    mean_ms: float
    calls: int

    @property
    def run_ms(self) -> float:
        """Time of all its calls in one run."""
        return self.mean_ms * self.calls


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OperatorTimes:
    """What benchmark_model tells of the operators.

    Args:
        operators: The operators in the order in which they run.
        kind_ms: Time of a run by node type, empty where the text lacks it.
        nodes: How many operators it observed, None where the text lacks it.
        total: Statistics of the sum over all operators, None where the text lacks it.
    """

    operators: tuple[OperatorTime, ...]
    kind_ms: Mapping[str, float]
    nodes: int | None
    total: RunStats | None


def read_operators(text: str, *, source: str = "op profile") -> OperatorTimes:
    """Read the operators of the runs that count; those of the initialization are left out.

    Args:
        text: What benchmark_model printed, or the comma-separated file that it wrote.
        source: Name of the text, for messages.

    Raises:
        InputError: There is no such table, or one is damaged or of an unknown layout.
    """
    lines = plain_lines(text)
    sections = _sections(lines, _start(lines, source), source)
    if _RUN_ORDER not in sections:
        msg = f"{source}: no table '{_RUN_ORDER}' of the runs"
        raise InputError(msg, hint="was it run with --enable_op_profiling=true?")
    rows = _rows(lines, sections[_RUN_ORDER], source, _ORDER_COLUMNS, _OLD_ORDER_COLUMNS)
    kinds = _rows(lines, sections[_SUMMARY], source, _SUMMARY_COLUMNS) if _SUMMARY in sections else []
    end = sections["end"]
    group = list(enumerate(lines[sections[_RUN_ORDER] : end], start=sections[_RUN_ORDER] + 1))
    nodes = next((found for _, line in group if (found := _NODES.fullmatch(line.strip()))), None)
    totals = [(number, line.removeprefix(_TIMINGS)) for number, line in group if line.startswith(_TIMINGS)]
    return OperatorTimes(
        operators=tuple(_operator(row) for row in rows),
        kind_ms={row["node type"]: float(row["avg ms"]) for row in kinds},
        nodes=int(nodes[1]) if nodes else None,
        total=stats_of(totals[0][1], f"{source}, line {totals[0][0]}") if totals else None,
    )


def operator_profile(times: OperatorTimes) -> ModelProfile:
    """Return the operators as a profile of one run, that of their means.

    Each operator counts as the consumer of the one before it, so that one whose name tells no module goes to the next
    that does.

    Raises:
        InputError: Rows are missing, or a delegate hides which part of the model took how long.
    """
    _check_complete(times)
    for operator in times.operators:
        _refuse_hidden(operator, times)
    last = len(times.operators) - 1
    nodes = tuple(
        Node(name=_operator_name(row), op=row.kind, consumers=() if place == last else (place + 1,))
        for place, row in enumerate(times.operators)
    )
    milliseconds = [[row.run_ms for row in times.operators]]
    return ModelProfile(nodes=nodes, times_us=np.array(milliseconds, dtype=np.float64) * 1e3)


def _start(lines: Sequence[str], source: str) -> int:
    """Return where the profile of the runs begins; files without any heading hold nothing else."""
    headings = [place for place, line in enumerate(lines) if _RUNS.match(line)]
    if len(headings) > 1:
        msg = f"{source}, line {headings[1] + 1}: the output of more than one call"
        raise InputError(msg)
    if not headings and any(line.startswith(_INITIALIZATION) for line in lines):
        msg = f"{source}: it has a profile of the initialization, but none of the runs: it was cut short"
        raise InputError(msg)
    return headings[0] if headings else 0


def _sections(lines: Sequence[str], start: int, source: str) -> dict[str, int]:
    """Return where the first of each section's title stands, and as `end` where the first set of sections ends.

    What follows it is of subgraphs or of the inside of delegates, whose time the first set has already.
    """
    found: dict[str, int] = {}
    for place in range(start, len(lines)):
        title = _SECTION.fullmatch(lines[place].strip())
        if title is None:
            continue
        if title[1] == _RUN_ORDER and _RUN_ORDER in found:
            return found | {"end": place}
        if title[1] in found:
            msg = f"{source}, line {place + 1}: a second section {title[1]!r}"
            raise InputError(msg)
        found[title[1]] = place
    return found | {"end": len(lines)}


def _rows(lines: Sequence[str], title: int, source: str, *layouts: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the rows below the title at line `title`, up to the next empty line."""
    header = lines[title + 1].strip() if title + 1 < len(lines) else ""
    commas = "[" not in header
    cells = header.split(",") if commas else _HEADER_CELL.findall(header)
    columns = tuple(cell.strip().lower().replace("_", " ") for cell in cells)
    if columns not in layouts:
        msg = f"{source}, line {title + 2}: unknown columns: {header[:200]!r}"
        raise InputError(msg, hint="this may be a newer benchmark_model: its layout must be looked at first")
    rows = []
    for number in range(title + 2, len(lines)):
        if not lines[number].strip():
            break
        rows.append(_row(lines[number], columns, f"{source}, line {number + 1}", commas=commas))
    if not rows:
        msg = f"{source}, line {title + 2}: a table without rows"
        raise InputError(msg)
    return rows


def _row(line: str, columns: tuple[str, ...], place: str, *, commas: bool) -> dict[str, str]:
    """Split a line; node types and names hold commas and blanks, so that the numbers between them are looked for."""
    cells = [cell.strip() for cell in (line.split(",") if commas else re.split(r"\t|  +", line.strip()))]
    cells = cells if commas else [cell for cell in cells if cell]
    joint = ", " if commas else " "
    numbers = columns[1:-1] if columns[-1] == "name" else columns[1:]
    for begin in range(1, len(cells) - len(numbers) + 1):
        end = begin + len(numbers)
        if all(_fits(cell, column) for cell, column in zip(cells[begin:end], numbers, strict=True)):
            outer = {"node type": joint.join(cells[:begin]), "name": joint.join(cells[end:])}
            if bool(outer["name"]) == (columns[-1] == "name") and outer["node type"]:
                return outer | dict(zip(numbers, cells[begin:end], strict=True))
    msg = f"{place}: not a row of the columns {', '.join(columns)}: {line.strip()[:200]!r}"
    raise InputError(msg)


def _fits(cell: str, column: str) -> bool:
    if column in {"count", "times called"}:
        return _COUNT.fullmatch(cell) is not None and int(cell) > 0
    if "%" in column:
        return re.fullmatch(rf"{NUMBER}%", cell) is not None
    return re.fullmatch(rf"-?{NUMBER}" if column == "mem kb" else NUMBER, cell) is not None


def _operator(row: Mapping[str, str]) -> OperatorTime:
    return OperatorTime(
        kind=row["node type"], name=row["name"], mean_ms=float(row["avg ms"]), calls=int(row["times called"])
    )


def _check_complete(times: OperatorTimes) -> None:
    if times.nodes is None or times.total is None:
        msg = "the op profile has no total at its end: it was cut short"
        raise InputError(msg)
    if len(times.operators) != times.nodes:
        msg = f"the op profile has {len(times.operators)} rows of {times.nodes} operators: rows are missing"
        raise InputError(msg)
    total, found = times.total.mean_ms, sum(row.run_ms for row in times.operators)
    rounding = _ROUNDED_MS * sum(row.calls for row in times.operators)
    if not abs(found - total) <= _TOLERANCE * total + rounding or found <= 0:
        msg = f"the rows of the op profile add up to {found:.3f} ms, its total is {total:.3f} ms"
        raise InputError(msg)


def _refuse_hidden(row: OperatorTime, times: OperatorTimes) -> None:
    share = f"{100 * row.run_ms / sum(other.run_ms for other in times.operators):.0f} % of the time"
    if row.name.startswith(_FROM_DELEGATE):
        which = f"{row.calls} operators, " if row.calls > 1 else ""
        msg = f"the delegate's {row.kind} ({which}{share}) does not tell which part of the model it computes"
    elif "delegate" in row.kind.lower():
        msg = f"{row.kind} shows as one operator ({share}): it does not tell what the parts of the model in it take"
    elif row.calls > 1:
        msg = f"{row.calls} operators share the row {row.name!r} ({share}): what each of them takes is not told"
    else:
        return
    raise InputError(msg, hint=_OTHERWISE)


def _operator_name(row: OperatorTime) -> str:
    """Return the names of the tensors that it writes, `[a;b, c]:7`, as those of a fused operator: `a + b + c`."""
    found = _OUTPUT.fullmatch(row.name)
    parts = [part.strip() for part in re.split(r"[;,]", found[1] if found else row.name)]
    return " + ".join(_node_name(part, row.kind) for part in parts if part and not part.isdigit())


def _node_name(part: str, kind: str) -> str:
    """Return `/blocks/blocks.7/project/conv/CONV_2D` of a tensor that litert-torch named by classes and attributes.

    That is what ONNX would call the operator. litert-torch's scopes are `package.module.Class_attribute`; the first
    has no attribute, and what makes a model take images with channels last wraps it once. Names of other converters
    stay as they are.
    """
    scopes = [_SCOPE.fullmatch(scope) for scope in part.split("/")[1:]]
    attributes = [scope[1] for scope in scopes if scope]
    if not attributes or len(attributes) < len(scopes):
        return part
    if attributes[0] == _WRAPPER:
        del attributes[0]
    pairs = zip(attributes, ["", *attributes], strict=False)
    path = "".join(f"/{parent}.{name}" if name.isdigit() else f"/{name}" for name, parent in pairs)
    return f"{path}/{kind}"
