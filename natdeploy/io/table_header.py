"""The YAML header of a latency table: what was measured, how, and with which errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from natdeploy.core.device import Deployment
from natdeploy.core.latency import LatencyCorrection, LatencyTable, Validation
from natdeploy.errors import InputError
from natdeploy.io.validation import find_fault

FORMAT = "natdeploy.latency-table/1"
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_AtLeastZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Ratio = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]

_MOST_CHARACTERS, _DEEPEST = 200_000, 20


class _ValidationKeys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    networks: int = Field(ge=1)
    mape_percent: _AtLeastZero
    max_error_percent: _AtLeastZero
    within_5_percent: _Share
    spearman_rho: float = Field(ge=-1, le=1)
    kendall_tau: float = Field(ge=-1, le=1)


class _CalibrationKeys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    alpha_ms: _Finite
    beta: _Ratio
    gamma_ms: _Finite
    lower_ratio: _Ratio
    upper_ratio: _Ratio
    coverage: _Share
    networks: int = Field(ge=1)

    @field_validator("upper_ratio")
    @classmethod
    def _is_above_the_lower_one(cls, value: float, info: ValidationInfo) -> float:
        lower = info.data.get("lower_ratio", value)
        if value < lower:
            kind, reason = "interval", "is {value}, below lower_ratio, which is {lower}"
            raise PydanticCustomError(kind, reason, {"value": value, "lower": lower})
        return value


class _HeaderKeys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: str
    device: str = Field(min_length=1)
    runtime: Literal["onnxruntime", "litert", "tensorrt"]
    runtime_version: str | None
    precision: Literal["fp32", "fp16", "int8"]
    batch: int = Field(ge=1)
    threads: int = Field(ge=1)
    provenance: Literal["measured", "imported", "fitted", "calibrated", "estimated"]
    method: str = Field(min_length=1)
    fingerprint: str | None
    created: str
    conditions: dict[str, Any]
    folded: list[Literal["stem", "block", "final_expand", "pooling", "feature_mix", "classifier"]] = []
    validation: _ValidationKeys | None
    random_validation: _ValidationKeys | None = None
    calibration: _CalibrationKeys | None


def make_header(table: LatencyTable) -> dict[str, Any]:
    """Return the header of `table` as plain values, in the order of the file."""
    return {
        "format": FORMAT,
        "device": table.deployment.device,
        "runtime": table.deployment.runtime,
        "runtime_version": table.runtime_version,
        "precision": table.deployment.precision,
        "batch": table.deployment.batch,
        "threads": table.deployment.threads,
        "provenance": table.provenance,
        "method": table.method,
        "fingerprint": table.fingerprint,
        "created": table.created,
        "conditions": dict(table.conditions),
        "folded": list(table.folded),
        "validation": dataclasses.asdict(table.validation) if table.validation else None,
        "random_validation": dataclasses.asdict(table.random_validation) if table.random_validation else None,
        "calibration": dataclasses.asdict(table.latency_correction) if table.latency_correction else None,
    }


def read_header(lines: Sequence[str], source: str) -> LatencyTable:
    """Return the table, without its rows, that the `# ` lines at the top of a file describe.

    Raises:
        InputError: The header is not valid; the message names source, line and reason.
    """
    if not lines:
        msg = f"{source}, line 1: not a latency table: it does not begin with '# format: {FORMAT}'"
        raise InputError(msg)
    text = "\n".join(line[1:].removeprefix(" ") for line in lines)
    keys = _load_yaml(text, source)
    _check_format(keys, source)
    try:
        header = _HeaderKeys.model_validate(keys)
    except ValidationError as error:
        fault = find_fault(error, keys)
        msg = f"{source}, line {_line_of(text, fault.parts)}: header key {fault.key!r}: {fault.reason}"
        raise InputError(msg) from error
    return _table(header)


def _load_yaml(text: str, source: str) -> dict[str, Any]:
    try:
        _require_plain(text)
        _require_distinct_keys(yaml.compose(text, Loader=yaml.SafeLoader), source)
        keys = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{source}, line {mark.line + 1}" if mark else source
        msg = f"{place}: the header is not valid YAML: {getattr(error, 'problem', None) or error}"
        raise InputError(msg) from error
    except (ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        msg = f"{source}: the header is not valid: {str(error).partition('; use')[0]}"
        raise InputError(msg) from error
    if not isinstance(keys, dict):
        msg = f"{source}, line 1: not a latency table: it does not begin with '# format: {FORMAT}'"
        raise InputError(msg)
    return keys


def _require_plain(text: str) -> None:
    """Check that a header is no longer, deeper or more than it looks like, before a parser recurses or expands it.

    Raises:
        ValueError: It is not so.
    """
    depth = 0
    if len(text) > _MOST_CHARACTERS:
        msg = f"it is longer than {_MOST_CHARACTERS:,} characters"
        raise ValueError(msg)
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST or isinstance(event, yaml.AliasEvent):
            reason = f"is nested more than {_DEEPEST} deep" if depth > _DEEPEST else "refers to another part"
            msg = f"line {event.start_mark.line + 1 if event.start_mark else 1} {reason}"
            raise ValueError(msg)


def _require_distinct_keys(node: yaml.Node | None, source: str) -> None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    seen = set()
    for key, inner in pairs:
        if key.value in seen:
            msg = f"{source}, line {key.start_mark.line + 1}: header key {key.value!r} is repeated"
            raise InputError(msg)
        seen.add(key.value)
        _require_distinct_keys(inner, source)


def _check_format(keys: dict[str, Any], source: str) -> None:
    given = keys.get("format")
    if given == FORMAT:
        return
    if given is None:
        msg = f"{source}, line 1: not a latency table: its header has no key 'format'"
        raise InputError(msg)
    msg = f"{source}, line 1: unknown format version {given!r}; this natdeploy reads {FORMAT!r}"
    raise InputError(msg, hint="the table may come from a newer natdeploy")


def _line_of(text: str, keys: Sequence[int | str]) -> int:
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next((pair for pair in pairs if pair[0].value == key), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _table(header: _HeaderKeys) -> LatencyTable:
    deployment = Deployment(
        device=header.device,
        runtime=header.runtime,
        precision=header.precision,
        batch=header.batch,
        threads=header.threads,
    )
    return LatencyTable(
        deployment=deployment,
        provenance=header.provenance,
        method=header.method,
        rows={},
        runtime_version=header.runtime_version,
        fingerprint=header.fingerprint,
        created=header.created,
        conditions=header.conditions,
        validation=_validation(header.validation),
        random_validation=_validation(header.random_validation),
        latency_correction=LatencyCorrection(**header.calibration.model_dump()) if header.calibration else None,
        folded=tuple(header.folded),
    )


def _validation(keys: _ValidationKeys | None) -> Validation | None:
    return None if keys is None else Validation(**keys.model_dump())
