"""The YAML header of a latency table: what was measured, how, and with which errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from natdeploy.core.device import Deployment
from natdeploy.core.latency import LatencyCorrection, LatencyTable, Validation
from natdeploy.documents import require_plain
from natdeploy.errors import InputError
from natdeploy.io.validation import find_fault
from natdeploy.io.yaml_documents import compose_yaml, construct_yaml, find_line

FORMAT = "natdeploy.latency-table/1"
_Count = Annotated[int, Field(ge=1, le=1_000_000)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_AtLeastZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Ratio = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]

_WHAT = "the header is "


def _pass_plain(value: dict[str, Any]) -> dict[str, Any]:
    require_plain(value)
    return value


class _ValidationKeys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    networks: _Count
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
    networks: _Count

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
    batch: _Count
    threads: _Count
    provenance: Literal["measured", "imported", "fitted", "calibrated", "estimated"]
    method: str = Field(min_length=1)
    fingerprint: str | None
    created: str
    conditions: Annotated[dict[str, JsonValue], AfterValidator(_pass_plain)]
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
    root = compose_yaml("\n".join(line[1:].removeprefix(" ") for line in lines), source, _WHAT)
    keys = construct_yaml(root, source, _WHAT)
    if not isinstance(keys, dict):
        msg = f"{source}, line 1: not a latency table: it does not begin with '# format: {FORMAT}'"
        raise InputError(msg)
    _check_format(keys, source)
    try:
        header = _HeaderKeys.model_validate(keys)
    except ValidationError as error:
        fault = find_fault(error, keys)
        msg = f"{source}, line {find_line(root, fault.parts)}: header key {fault.key!r}: {fault.reason}"
        raise InputError(msg) from error
    return _table(header)


def _check_format(keys: dict[str, Any], source: str) -> None:
    given = keys.get("format")
    if given == FORMAT:
        return
    if given is None:
        msg = f"{source}, line 1: not a latency table: its header has no key 'format'"
        raise InputError(msg)
    msg = f"{source}, line 1: unknown format version {given!r}; this natdeploy reads {FORMAT!r}"
    raise InputError(msg, hint="the table may come from a newer natdeploy")


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
