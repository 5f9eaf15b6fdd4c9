"""Readers of weights, checkpoints, images and models."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image
from safetensors.torch import save

from natdeploy.core.architecture import smallest
from natdeploy.core.layers import walk
from natdeploy.export.tflite_direct import TfliteDirectExporter
from natdeploy.io.image_files import SquareReader
from natdeploy.io.supernet_weights import read_supernet, read_task
from natdeploy.profilers.agent_timer import AgentTimer
from natdeploy.runtimes.connection import Connection, LocalLink
from natdeploy.search.pretrained_predictor import RESOLUTIONS, PretrainedPredictor
from natdeploy.supernet.accuracy_file import read_perceptron
from natdeploy.supernet.checkpoints import load_checkpoint, read_state
from natdeploy.supernet.network import build_network
from tests.fuzz.corpus.reader import Reader
from tests.support.foreign_tables import W12
from tests.support.host_timer import SHORT
from tests.support.strategies import TINY


def make_binary_readers() -> list[Reader]:
    """Return the readers of weights, checkpoints and images."""
    state = {
        "0.weight": torch.ones(8, 128),
        "0.bias": torch.ones(8),
        "2.weight": torch.ones(1, 8),
        "2.bias": torch.ones(1),
    }
    checkpoint = {
        "epochs": 3,
        "state_dict": {"stem.bn.running_var": torch.ones(2), "stem.conv.weight": torch.ones(2, 3)},
    }
    space = W12.with_resolutions(RESOLUTIONS)
    image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    return [
        Reader(
            name="weights",
            kind="safetensors",
            file="w.safetensors",
            contents=(_make_safetensors(),),
            read=_read_weights,
        ),
        Reader(
            name="checkpoint",
            kind="zip",
            file="c.pth",
            contents=(_save(checkpoint), _save(state)),
            read=lambda path: (read_state(path), load_checkpoint(path)),
        ),
        Reader(
            name="accuracy predictor",
            kind="zip",
            file="p.pth",
            contents=(_save(state),),
            read=lambda path: PretrainedPredictor(space, read_perceptron(path)),
        ),
        Reader(
            name="images",
            kind="image",
            file="i.png",
            contents=tuple(_make_image(image, kind) for kind in ("png", "jpeg", "gif", "bmp", "webp", "tiff")),
            read=lambda path: SquareReader(size=8)(str(path)),
        ),
    ]


def make_model_readers() -> list[Reader]:
    """Return the readers of model files, which are opened in a process of their own."""
    weights = [onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [2, 3, 1, 1], [0.5] * 6)]
    nodes = [onnx.helper.make_node("Conv", ["x", "w"], ["c"]), onnx.helper.make_node("Flatten", ["c"], ["y"])]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 3, 8, 8]), ("y", [1, 128]))
    ]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    with tempfile.TemporaryDirectory() as folder:
        TfliteDirectExporter().write(build_network(walk(TINY, smallest(TINY), 2)), Path(folder) / "m.tflite")
        flatbuffer = (Path(folder) / "m.tflite").read_bytes()
    return [
        Reader(
            name=f"model of {runtime}",
            kind="model",
            file=f"m.{suffix}",
            contents=(content,),
            read=functools.partial(_time_model, runtime),
            share=0.1,
        )
        for runtime, suffix, content in (
            ("onnxruntime", "onnx", model.SerializeToString()),
            ("litert", "tflite", flatbuffer),
        )
    ]


def _time_model(runtime: str, path: Path) -> object:
    with Connection("host", LocalLink()) as connection:
        timer = AgentTimer(transport=connection, runtime=runtime, threads=1, python=sys.executable, timing=SHORT)
        return dataclasses.replace(timer, limit_s=30.0).time([path], seed=0)


def _read_weights(path: Path) -> object:
    return read_state(path), read_task(path), read_supernet(path)


def _make_safetensors() -> bytes:
    state = {"stem.bn.running_var": torch.ones(2), "stem.conv.weight": torch.ones(2, 3)}
    task = {"dataset": "x", "classes": ["a", "b"], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}
    return save(state, {"task": json.dumps(task), "training": json.dumps({"supernet": "starter"})})


def _save(content: object) -> bytes:
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def _make_image(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()
