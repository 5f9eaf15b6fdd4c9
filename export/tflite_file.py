"""Builds the contents of a TFLite file operator by operator."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import MissingRuntimeError

Values = NDArray[np.float32] | NDArray[np.int32]
Table = Any  # an object of the schema's generated module
INPUT_NAME, OUTPUT_NAME = "args_0", "output_0"
NO_TENSOR = -1
_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
_LAST_DEPRECATED_CODE = 127
_COMPARISONS = ("GREATER",)


class TfliteFile:
    """A TFLite model with one input and one output, to which operators are added one at a time.

    Tensors are identified by their number.

    Args:
        input_shape: Shape of the input.

    Raises:
        MissingRuntimeError: The package `ai-edge-litert`, which holds the schema, is not installed.
    """

    def __init__(self, input_shape: Sequence[int]) -> None:
        self.schema = _import_schema()
        self._buffers = [self.schema.BufferT()]
        self._tensors: list[Table] = []
        self._versions: dict[int, int] = {}
        self._operators: list[Table] = []
        self.result = self._add_tensor(input_shape, self.schema.TensorType.FLOAT32, INPUT_NAME)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output of the last operator."""
        return self.shape_of(self.result)

    def shape_of(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return tuple(self._tensors[tensor].shape)

    def constant(self, values: Values) -> int:
        """Add a constant and return the number of its tensor."""
        types = {"float32": self.schema.TensorType.FLOAT32, "int32": self.schema.TensorType.INT32}
        number = len(self._buffers)
        self._buffers.append(self.schema.BufferT())
        self._buffers[number].data = np.frombuffer(values.tobytes(), dtype=np.uint8)
        return self._add_tensor(values.shape, types[values.dtype.name], f"constant_{number}", buffer=number)

    def append(
        self,
        code: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        kind: str = "",
        *,
        version: int = 1,
        **options: object,
    ) -> int:
        """Add an operator and return the number of its output tensor.

        Args:
            code: Name of the operator in the schema's `BuiltinOperator`.
            inputs: Numbers of the input tensors.
            shape: Shape of the output.
            kind: Name of the operator's options in the schema's `BuiltinOptions`. Empty if it has none.
            version: Version of the operator that has these options.
            options: Options, by their names in the schema.
        """
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self._add_code(getattr(self.schema.BuiltinOperator, code), version)
        operator.inputs = list(inputs)
        boolean = code in _COMPARISONS
        value = self.schema.TensorType.BOOL if boolean else self.schema.TensorType.FLOAT32
        self.result = self._add_tensor(shape, value, f"value_{len(self._tensors)}")
        operator.outputs = [self.result]
        if kind:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(self.schema, f"{kind}T")()
            for name, value in options.items():
                setattr(operator.builtinOptions, name, value)
        self._operators.append(operator)
        return self.result

    def to_bytes(self) -> bytes:
        """Return the bytes of the file."""
        flatbuffers = importlib.import_module("flatbuffers")
        size = sum(buffer.data.size for buffer in self._buffers if buffer.data is not None)
        builder = flatbuffers.Builder(size + 256 * len(self._tensors) + 1024)
        builder.Finish(self._make_model().Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def _make_model(self) -> Table:
        schema = self.schema
        self._tensors[self.result].name = OUTPUT_NAME
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = "main", self._tensors, self._operators
        graph.inputs, graph.outputs = [0], [self.result]
        model = schema.ModelT()
        model.version, model.description = _SCHEMA_VERSION, "natdeploy"
        model.operatorCodes = [self._make_operator_code(*item) for item in self._versions.items()]
        model.subgraphs, model.buffers = [graph], self._buffers
        model.signatureDefs = [self._make_signature()]
        return model

    def _make_operator_code(self, code: int, version: int) -> Table:
        described = self.schema.OperatorCodeT()
        described.version = version
        described.builtinCode = code
        described.deprecatedBuiltinCode = min(code, _LAST_DEPRECATED_CODE)
        return described

    def _make_signature(self) -> Table:
        signature = self.schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.inputs = [self._make_tensor_entry(INPUT_NAME, 0)]
        signature.outputs = [self._make_tensor_entry(OUTPUT_NAME, self.result)]
        return signature

    def _make_tensor_entry(self, name: str, tensor: int) -> Table:
        entry = self.schema.TensorMapT()
        entry.name, entry.tensorIndex = name, tensor
        return entry

    def _add_code(self, code: int, version: int) -> int:
        """Return the index of an operator's code. All operators of a code have the latest version that one needs."""
        self._versions[code] = max(version, self._versions.get(code, 0))
        return list(self._versions).index(code)

    def _add_tensor(self, shape: Sequence[int], kind: int, name: str, *, buffer: int = 0) -> int:
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.name, tensor.buffer = list(shape), kind, name, buffer
        tensor.hasRank = True
        self._tensors.append(tensor)
        return len(self._tensors) - 1


def _import_schema() -> ModuleType:
    try:
        return importlib.import_module("ai_edge_litert.schema_py_generated")
    except ImportError as error:
        msg = "the package ai-edge-litert is not installed"
        raise MissingRuntimeError(msg, hint='pip install "natdeploy[tflite]"') from error
