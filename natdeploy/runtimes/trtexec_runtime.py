"""Builds and runs engines with the `trtexec` of a device, which may be this machine.

Each call is a separate process on the device. A build that runs out of memory therefore does not end natdeploy.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import NoOutputsError
from natdeploy.files import writing
from natdeploy.ports import Images
from natdeploy.readers import require_file
from natdeploy.runtimes.model_input import ModelInput, require_threads
from natdeploy.runtimes.trtexec import format_version, gives_outputs, make_output_arguments
from natdeploy.runtimes.trtexec_files import read_outputs
from natdeploy.runtimes.trtexec_program import TrtexecProgram
from natdeploy.temporary import temporary_folder

_ONNX, _ENGINE, _VALUES, _OUTPUTS = "model.onnx", "model.engine", "image.bin", "outputs.json"


class TrtexecBuilder:
    """Builds engines on a device.

    Args:
        program: The device's trtexec.
        precision: Lowest precision that layers may use.
        workspace_mib: Maximum workspace memory of a layer, in MiB.
    """

    def __init__(self, program: TrtexecProgram, *, precision: str, workspace_mib: int) -> None:
        self._program = program
        self._precision = precision
        self._workspace_mib = workspace_mib

    @property
    def name(self) -> str:
        """Name of the builder."""
        return "trtexec"

    @property
    def sets_precision(self) -> bool:
        """Whether the build sets the precision. If not, the ONNX file itself must have it."""
        return self._precision == "fp32" or f"--{self._precision}" in self._program.flags.known

    def version(self) -> str:
        """Return the version of TensorRT."""
        return format_version(self._program.version)

    def build(self, onnx: Path, target: Path) -> str:
        """Build an engine from an ONNX file on this machine, fetch it to `target` and return the log.

        Raises:
            DeviceUnreachableError: The connection is lost, or the build did not end in time.
            InputError: The build failed. The message says why.
            OutputError: The device has no space left, or `target` cannot be written.
        """
        transport = self._program.transport
        model, engine = (f"{transport.folder}/{name}" for name in (_ONNX, _ENGINE))
        transport.send(onnx, model)
        log = self._program.build(
            onnx=model,
            engine=engine,
            precision=self._precision if self.sets_precision else "fp32",
            workspace_mib=self._workspace_mib,
            keep_times=True,
        )
        transport.fetch(engine, target)
        return log


class TrtexecRuntime:
    """Runs engines on a device; implements `natdeploy.ports.Runtime`.

    Args:
        program: The device's trtexec.
        input_name: Name of the engines' input.
        input_size: Height and width of the images that the engines take.
    """

    def __init__(self, program: TrtexecProgram, *, input_name: str, input_size: int) -> None:
        self._program = program
        self._input_name = input_name
        self._input_size = input_size

    @property
    def id(self) -> str:
        """Name of the runtime in latency tables and commands."""
        return "tensorrt"

    @property
    def suffix(self) -> str:
        """Suffix of the files that the runtime opens."""
        return ".engine"

    def version(self) -> str:
        """Return the version of TensorRT on the device."""
        return format_version(self._program.version)

    def open(self, path: Path, *, threads: int) -> TrtexecSession:
        """Send an engine to the device.

        Raises:
            DeviceUnreachableError: The connection is lost.
            InputError: The file is missing.
            NoOutputsError: The device's trtexec cannot write outputs.
            OutputError: The device has no space left.
        """
        require_file(path)
        require_threads(threads)
        flags = self._program.flags
        if not gives_outputs(flags):
            name = self._program.transport.name
            msg = f"{flags} of {name} cannot write outputs: it has no --loadInputs or --exportOutput"
            raise NoOutputsError(msg)
        transport = self._program.transport
        engine = f"{transport.folder}/{_ENGINE}"
        transport.send(path, engine)
        return TrtexecSession(self._program, engine, self._input_name, self._input_size)


class TrtexecSession:
    """An engine on a device.

    Args:
        program: The device's trtexec.
        engine: Path of the engine on the device.
        input_name: Name of the engine's input.
        input_size: Height and width of the images that the engine takes.
    """

    def __init__(self, program: TrtexecProgram, engine: str, input_name: str, input_size: int) -> None:
        self._program = program
        self._engine = engine
        self._input_name = input_name
        self._input = ModelInput(batch=1, size=input_size, channels_last=False)
        self._numbers = itertools.count()

    @property
    def input_size(self) -> int:
        """Height and width of the images that the engine takes."""
        return self._input.size

    def run(self, images: Images) -> NDArray[np.float32]:
        """Map `n x 3 x r x r` images to `n x classes` outputs. Each image takes a separate process.

        Raises:
            DeviceUnreachableError: The connection is lost.
            InputError: The images do not have the shape that the engine takes, or the engine failed to run.
        """
        return self._input.run(self._call, images)

    def _call(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        program, folder = self._program, self._program.transport.folder
        values = f"{folder}/{_VALUES}"
        with temporary_folder() as here:
            path = here / _VALUES
            with writing(path):
                path.write_bytes(part.tobytes())
            program.transport.send(path, values)
        output = f"{next(self._numbers)}-{_OUTPUTS}"
        arguments = make_output_arguments(
            program.flags, engine=self._engine, name=self._input_name, values=values, output=output
        )
        program.run(arguments)
        return read_outputs(program.read(output), source=f"outputs of trtexec on {program.transport.name}")
