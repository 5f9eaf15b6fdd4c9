"""What every result of `natdeploy.api` can do; `to_json` gives the document that `--json` prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def jsonable(value: object) -> Any:  # noqa: ANN401
    """Return `value` with dataclasses as mappings, tuples as lists and paths as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return str(value) if isinstance(value, Path) else value


class Result:
    """Base of the results."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        return {"ok": True, **jsonable(self)}
