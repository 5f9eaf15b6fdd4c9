"""What an export returns."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from natdeploy.api.results import jsonable
from natdeploy.export.parity import Parity

if TYPE_CHECKING:
    from natdeploy.export.pipeline import Exported

__all__ = ["ExportResult", "Parity"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportResult:
    """Files that were written, one for each format."""

    exports: tuple[Exported, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        documents = [{**jsonable(exported), "parity": exported.parity.to_json()} for exported in self.exports]
        return {"ok": True, **documents[0]} if len(documents) == 1 else {"ok": True, "exports": documents}
