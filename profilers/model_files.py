"""Model files of networks that are only timed: with seeded weights, each structure exported once."""

from __future__ import annotations

import dataclasses
import importlib
import threading
from collections.abc import Sequence
from pathlib import Path

from natdeploy.core.layers import POOLING, Layer
from natdeploy.ports import Exporter
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import Network, build_network
from natdeploy.supernet.threads import use_threads

_SMALL_SIZE = 64
# Exporters and the number of PyTorch threads belong to the whole process, which may measure several devices at once.
_EXPORTING = threading.Lock()


class ModelFiles:
    """Writes networks as model files.

    The operators in an ONNX file of these networks do not depend on the resolution. So each structure is exported once,
    at a small size, and copies of the file declare other input sizes.

    Args:
        exporter: Exporter of the format that the runtime reads.
        folder: Folder of the files.
        seed: Seed of the weights.
    """

    def __init__(self, exporter: Exporter, folder: Path, *, seed: int) -> None:
        self._exporter = exporter
        self._folder = folder
        self._seed = seed
        self._written: dict[tuple[Layer, ...], Path] = {}

    def path(self, layers: Sequence[Layer]) -> Path:
        """Return a model file of the network made of `layers`."""
        if self._exporter.format != "onnx":
            return self._write(tuple(layers))
        size = layers[0].in_size
        small = self._write(_at_size(layers, _SMALL_SIZE if size > 1 else 1))
        path = small.with_name(f"{small.stem}-{size}{small.suffix}")
        if not path.exists():
            declare_size(small, path, size)
        return path

    def _write(self, layers: tuple[Layer, ...]) -> Path:
        if layers not in self._written:
            path = self._folder / f"{len(self._written)}{self._exporter.suffix}"
            # Beside other work, several threads that wait for each other take many times as long as one.
            with _EXPORTING, use_threads(1):
                self._exporter.write(self.network(layers), path)
            self._written[layers] = path
        return self._written[layers]

    def network(self, layers: tuple[Layer, ...]) -> Network:
        """Return the network made of `layers`; its random weights are scaled on small images, which is fast."""
        whole = any(layer.op == POOLING for layer in layers)
        size = _SMALL_SIZE if whole else min(layers[0].in_size, _SMALL_SIZE)
        return randomize_weights(build_network(layers), self._seed, size=size)


def declare_size(source: Path, output_path: Path, size: int) -> None:
    """Copy an ONNX file whose operators do not depend on the image size, with `size` as the size of its input."""
    onnx = importlib.import_module("onnx")
    model = onnx.load(source)
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    dimensions[2].dim_value = dimensions[3].dim_value = size
    del model.graph.value_info[:]
    output_path.write_bytes(model.SerializeToString())


def _at_size(layers: Sequence[Layer], size: int) -> tuple[Layer, ...]:
    """Return the layers, all of one size: the key of their structure."""
    return tuple(dataclasses.replace(layer, in_size=size) for layer in layers)
