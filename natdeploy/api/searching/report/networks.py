"""The networks of an archive as layers, and the costs of each layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from natdeploy.core.architecture import Architecture
from natdeploy.core.latency import LatencyTable
from natdeploy.core.layers import BLOCK, Layer, walk
from natdeploy.core.space import SearchSpace

_SHAPE = ("op", "in_size", "out_size", "in_channels", "out_channels", "mid_channels", "kernel", "stride", "se", "skip")
_COSTS = ("madds", "params")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerList:
    """Distinct layers of many networks. A network is the list of their indices, from input to output.

    A searchable block and the fixed block are distinct even if they are equal, since the correction of a latency table
    adds a constant to searchable blocks only.

    Args:
        space: Space of the networks.
        classes: Outputs of the classifier.
        tables: Latency tables, by device.
    """

    space: SearchSpace
    classes: int
    tables: Mapping[str, LatencyTable]
    _known: dict[tuple[Layer, bool], int] = dataclasses.field(default_factory=dict)

    def index(self, architecture: Architecture) -> list[int]:
        """Return the indices of a network's layers; new layers are added to the list."""
        layers = walk(self.space, architecture, self.classes)
        blocks = [place for place, layer in enumerate(layers) if layer.op == BLOCK]
        searchable = set(blocks[1:])
        return [
            self._known.setdefault((layer, place in searchable), len(self._known)) for place, layer in enumerate(layers)
        ]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the shape and the costs of each layer: multiply-adds, parameters, and latency by device."""
        return [
            {
                **{name: getattr(layer, name) for name in (*_SHAPE, *_COSTS)},
                "latency_ms": {device: self._latency_ms(layer, device, searchable) for device in self.tables},
            }
            for layer, searchable in self._known
        ]

    def constants_ms(self) -> dict[str, float]:
        """Return what the correction of each device's table adds to every network, whatever its layers."""
        corrections = {device: table.latency_correction for device, table in self.tables.items()}
        return {device: found.alpha_ms if found else 0.0 for device, found in corrections.items()}

    def _latency_ms(self, layer: Layer, device: str, searchable: bool) -> float:  # noqa: FBT001
        table = self.tables[device]
        own, correction = table.layer_ms(layer), table.latency_correction
        if correction is None:
            return own
        return correction.beta * own + (correction.gamma_ms if searchable else 0.0)
