"""GPU memory, for runtimes whose callers must allocate it."""

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
        """Handle of the CUDA stream that runs the work."""
        ...

    def allocate(self, shape: tuple[int, ...]) -> Any:  # noqa: ANN401, its type depends on the allocator
        """Allocate a buffer of float32 values."""
        ...

    def get_address(self, buffer: Any) -> int:  # noqa: ANN401
        """Return the address of a buffer."""
        ...

    def write(self, buffer: Any, values: Values) -> None:  # noqa: ANN401
        """Copy values to a buffer."""
        ...

    def read(self, buffer: Any) -> Values:  # noqa: ANN401
        """Copy the values of a buffer to the host."""
        ...

    def wait(self) -> None:
        """Wait until the stream has done its work."""
        ...


class TorchMemory:
    """Memory of the first NVIDIA GPU, allocated by torch; implements `Memory`.

    Raises:
        NoOutputsError: torch finds no GPU.
    """

    def __init__(self) -> None:
        self._torch = importlib.import_module("torch")
        if not self._torch.cuda.is_available():
            msg = "engines cannot run on this machine: torch finds no NVIDIA GPU"
            raise NoOutputsError(
                msg, hint="install a build of torch for the GPU's CUDA version, or put trtexec on PATH"
            )

    @property
    def stream(self) -> int:
        """Handle of the CUDA stream that runs the work."""
        return int(self._torch.cuda.current_stream().cuda_stream)

    def allocate(self, shape: tuple[int, ...]) -> Any:  # noqa: ANN401
        """Allocate a buffer of float32 values."""
        return self._torch.empty(shape, dtype=self._torch.float32, device="cuda")

    def get_address(self, buffer: Any) -> int:  # noqa: ANN401
        """Return the address of a buffer."""
        return int(buffer.data_ptr())

    def write(self, buffer: Any, values: Values) -> None:  # noqa: ANN401
        """Copy values to a buffer."""
        buffer.copy_(self._torch.from_numpy(values))

    def read(self, buffer: Any) -> Values:  # noqa: ANN401
        """Copy the values of a buffer to the host."""
        values: Values = buffer.cpu().numpy()
        return values

    def wait(self) -> None:
        """Wait until the stream has done its work."""
        self._torch.cuda.current_stream().synchronize()
