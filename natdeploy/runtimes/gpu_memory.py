"""Memory of a GPU, for runtimes that leave it to their callers."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import NoOutputsError

Values = NDArray[np.float32]


class Memory(Protocol):
    """Memory of a GPU."""

    @property
    def stream(self) -> int:
        """Handle of the stream that work is put on."""
        ...

    def allocate(self, shape: tuple[int, ...]) -> Any:  # noqa: ANN401, whatever holds it
        """Return a buffer of float32 values."""
        ...

    def get_address(self, buffer: Any) -> int:  # noqa: ANN401
        """Return where a buffer lies."""
        ...

    def write(self, buffer: Any, values: Values) -> None:  # noqa: ANN401
        """Copy values to a buffer."""
        ...

    def read(self, buffer: Any) -> Values:  # noqa: ANN401
        """Copy the values of a buffer here."""
        ...

    def wait(self) -> None:
        """Wait until the stream has done its work."""
        ...


class TorchMemory:
    """Memory of the first NVIDIA GPU, as torch hands it out; implements `Memory`.

    Raises:
        NoOutputsError: This torch reaches no GPU.
    """

    def __init__(self) -> None:
        self._torch = importlib.import_module("torch")
        if not self._torch.cuda.is_available():
            msg = "an engine cannot be run here: torch reaches no NVIDIA GPU"
            raise NoOutputsError(msg, hint="install a torch of the GPU's CUDA version, or put trtexec on PATH")

    @property
    def stream(self) -> int:
        """Handle of the stream that work is put on."""
        return int(self._torch.cuda.current_stream().cuda_stream)

    def allocate(self, shape: tuple[int, ...]) -> Any:  # noqa: ANN401
        """Return a buffer of float32 values."""
        return self._torch.empty(shape, dtype=self._torch.float32, device="cuda")

    def get_address(self, buffer: Any) -> int:  # noqa: ANN401
        """Return where a buffer lies."""
        return int(buffer.data_ptr())

    def write(self, buffer: Any, values: Values) -> None:  # noqa: ANN401
        """Copy values to a buffer."""
        buffer.copy_(self._torch.from_numpy(values))

    def read(self, buffer: Any) -> Values:  # noqa: ANN401
        """Copy the values of a buffer here."""
        values: Values = buffer.cpu().numpy()
        return values

    def wait(self) -> None:
        """Wait until the stream has done its work."""
        self._torch.cuda.current_stream().synchronize()
