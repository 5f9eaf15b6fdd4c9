"""TFLite files, written through litert-torch."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from natdeploy.errors import MissingRuntimeError
from natdeploy.export.frozen import frozen
from natdeploy.files import writing
from natdeploy.runtimes.quiet import quiet, unchanged_process
from natdeploy.supernet.network import Network


class TfliteExporter:
    """Writes a network as one TFLite file of fixed batch 1: `1 x r x r x 3` images to `1 x classes` logits.

    Channels last is what the runtime computes in; a file that takes channels first transposes every image.
    """

    @property
    def format(self) -> str:
        """Name that commands use."""
        return "tflite"

    @property
    def suffix(self) -> str:
        """Suffix of the file."""
        return ".tflite"

    def write(self, network: Network, target: Path) -> Mapping[str, Any]:
        """Write `network` to `target` and return what the manifest says of the file.

        The network itself stays as it is; the file holds it in evaluation mode. What the packages below
        write to stdout and stderr meanwhile is thrown away, in the whole process.

        Raises:
            MissingRuntimeError: The package `litert-torch` is not installed.
            OutputError: The file cannot be written.
        """
        with _converter() as package, writing(target):
            model = package.to_channel_last_io(frozen(network), args=[0]).eval()
            size = network.input_size
            package.convert(model, (torch.zeros(1, size, size, 3),)).export(str(target))
        return {
            "input": {"name": "args_0", "shape": [1, size, size, 3], "layout": "NHWC", "dtype": "float32"},
            "output": {"name": "output_0", "shape": [1, network.classes], "dtype": "float32"},
            "opset": None,
            "versions": {
                "torch": str(torch.__version__),
                "litert-torch": importlib.metadata.version("litert-torch"),
            },
        }


@contextlib.contextmanager
def _converter() -> Iterator[ModuleType]:
    """Yield litert-torch with its progress turned off, and leave no trace of it in the process."""
    with unchanged_process(), quiet(stderr=True):
        package = _package()
        shown = package.config.show_progress
        package.config.show_progress = False
        try:
            yield package
        finally:
            package.config.show_progress = shown


def _package() -> ModuleType:
    try:
        return importlib.import_module("litert_torch")
    except ImportError as error:
        msg = "the package litert-torch is not installed"
        raise MissingRuntimeError(msg, hint='pip install "natdeploy[tflite]"') from error
