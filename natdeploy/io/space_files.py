"""Search spaces as TOML files, and as objects in other files."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from natdeploy.core.space import (
    BN_EPS,
    Convolution,
    FixedBlock,
    SearchSpace,
    Stage,
)
from natdeploy.documents import read_toml
from natdeploy.errors import InputError, did_you_mean
from natdeploy.io.validation import find_fault

SUFFIX = ".toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_Count = Annotated[int, Field(ge=1, le=100_000)]
_Activation = Literal["relu", "relu6", "h_swish", "silu", "mish", "none"]
_MAX_DEPTH = 64


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Convolution(_Strict):
    channels: _Count
    activation: _Activation


class _FeatureMix(_Convolution):
    bias: bool = False


class _FixedBlock(_Convolution):
    kernel: int = 3
    se: bool = False


class _Stage(_Convolution):
    stride: Literal[1, 2]
    se: bool = False
    kernels: list[int] = Field(min_length=1)
    depths: list[Annotated[int, Field(ge=1, le=_MAX_DEPTH)]] = Field(min_length=1)
    expand_ratios: list[list[Annotated[float, Field(le=64)]]]

    @field_validator("expand_ratios", mode="before")
    @classmethod
    def _one_list_a_block(cls, value: object, info: ValidationInfo) -> object:
        """Repeat the ratios of all blocks for each block. Each block may have a list of its own instead."""
        if not isinstance(value, list) or not value:
            kind, reason = "space", "must be a list of numbers, or one such list for each block"
            raise PydanticCustomError(kind, reason)
        if any(isinstance(part, list) for part in value):
            return value
        return [value] * max(info.data.get("depths", [1]))


class _Space(_Strict):
    widths: list[Annotated[float, Field(le=64)]] = Field(default=[1.0], min_length=1)
    resolutions: list[Annotated[int, Field(ge=32, le=4096)]] = Field(min_length=1)
    padding: Literal["symmetric", "same"] = "symmetric"
    se_unit: Literal["mobilenetv3", "efficientnet"] = "mobilenetv3"
    bn_eps: float = BN_EPS
    stem: _Convolution
    fixed_block: _FixedBlock
    stages: list[_Stage] = Field(min_length=1)
    final_expand: _Convolution
    feature_mix: _FeatureMix | None = None

    def to_space(self, name: str, source: str) -> SearchSpace:
        return SearchSpace(
            name=name,
            widths=tuple(self.widths),
            resolutions=tuple(self.resolutions),
            padding=self.padding,
            se_unit=self.se_unit,
            bn_eps=self.bn_eps,
            stem=Convolution(**self.stem.model_dump()),
            fixed_block=FixedBlock(**self.fixed_block.model_dump()),
            stages=tuple(_to_stage(stage) for stage in self.stages),
            final_expand=Convolution(**self.final_expand.model_dump()),
            feature_mix=None if self.feature_mix is None else Convolution(**self.feature_mix.model_dump()),
            source=source,
        )


def read_space_file(path: Path) -> SearchSpace:
    """Read a search space. Its name is the file's, without the suffix.

    Raises:
        InputError: The file is missing or not a search space. The message names file, key and reason.
    """
    content = read_toml(path)
    name = path.name.removesuffix(SUFFIX)
    if not _NAME.fullmatch(name):
        msg = f"{path}: the name of the file becomes that of the space: use letters, digits, '.', '_' and '-'"
        raise InputError(msg)
    return parse_space(content, name=name, source=str(path.resolve()), place=str(path))


def parse_space(content: object, *, name: str, source: str, place: str) -> SearchSpace:
    """Read a search space from the parsed content of its file.

    Args:
        content: Keys and values.
        name: Name of the space.
        source: How the space is found again.
        place: File, and key in it if there is one, for messages.

    Raises:
        InputError: The content is no search space. The message names place, key and reason.
    """
    try:
        return _Space.model_validate(content).to_space(name, source)
    except ValidationError as error:
        fault = find_fault(error, content)
        unknown = fault.kind == "extra_forbidden"
        hint = did_you_mean(str(fault.parts[-1]), _find_keys(fault.parts)) if unknown else None
        msg = f"{place}: {fault}"
        raise InputError(msg, hint=hint) from error
    except InputError as error:
        msg = f"{place}: {error.message.removeprefix(f'space {name}: ')}"
        raise InputError(msg) from error


def describe_space(space: SearchSpace) -> dict[str, Any]:
    """Return the content of the file of a space, which `parse_space` reads."""
    content = dataclasses.asdict(space)
    del content["name"], content["source"]
    for convolution in (content["stem"], content["final_expand"]):
        del convolution["bias"]
    if space.feature_mix is None:
        del content["feature_mix"]
    described: dict[str, Any] = _to_lists(content)
    return described


def compute_space_hash(space: SearchSpace) -> str:
    """Return the SHA-256 of the networks of a space at any width and resolution, hexadecimal."""
    content = {key: value for key, value in describe_space(space).items() if key not in ("widths", "resolutions")}
    return hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest()


def _to_stage(stage: _Stage) -> Stage:
    return Stage(
        channels=stage.channels,
        stride=stage.stride,
        se=stage.se,
        activation=stage.activation,
        kernels=tuple(stage.kernels),
        expand_ratios=tuple(tuple(map(_to_number, ratios)) for ratios in stage.expand_ratios),
        depths=tuple(stage.depths),
    )


def _to_number(value: float) -> float:
    """Return whole numbers as integers, as other files have them."""
    return int(value) if value == int(value) else value


def _to_lists(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {key: _to_lists(inner) for key, inner in value.items()}
    return [_to_lists(inner) for inner in value] if isinstance(value, tuple | list) else value


def _find_keys(parts: Sequence[int | str]) -> list[str]:
    """Return the keys that are known where an unknown one is."""
    models: dict[str, type[BaseModel]] = {
        "stages": _Stage,
        "stem": _Convolution,
        "final_expand": _Convolution,
        "fixed_block": _FixedBlock,
        "feature_mix": _FeatureMix,
    }
    model = models.get(str(parts[0]), _Space) if len(parts) > 1 else _Space
    return list(model.model_fields)
