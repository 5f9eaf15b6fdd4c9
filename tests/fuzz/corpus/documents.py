"""Readers of settings, spaces, devices, subnets and manifests."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from pathlib import Path

import click
import tomli_w

from natdeploy import api
from natdeploy.api.results import jsonable
from natdeploy.cli.config import FILE, default_map, explain_usage_error, option_defaults
from natdeploy.cli.group import COMMANDS
from natdeploy.core.architecture import smallest
from natdeploy.core.layers import walk
from natdeploy.errors import InputError
from natdeploy.export.manifest import manifest_path, tool_version
from natdeploy.io.devices import USER_FILE, load_devices
from natdeploy.io.encodings import from_encoding
from natdeploy.io.space_files import describe_space
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import Subnet
from tests.fuzz.corpus.reader import Reader
from tests.fuzz.corpus.tables import ENCODING
from tests.support.netconfigs import net_config


def make_settings_readers() -> list[Reader]:
    """Return the readers of TOML files."""
    devices = {
        "my-board": {"like": "jetson-nano", "address": "me@board", "port": 22},
        "other": {
            "kind": "mobile-cpu",
            "chip": "X",
            "runtime": "litert",
            "precision": "fp32",
            "threads": 4,
            "transport": "adb",
            "models": ["M 1"],
            "memory_gb": 4.0,
            "roofline": {
                "bandwidth_gb_s": 10.0,
                "operator_ms": 0.01,
                "peak_gmadds": {"fp32": 20.0},
                "efficiency": {"dense": 0.5, "pointwise": 0.4, "depthwise": 0.1},
            },
        },
    }
    settings = {"search": {"seed": 3, "lr": 0.1, "target-latency": "20ms"}, "profile": {"device": "host"}}
    space = describe_space(find_space("starter"))
    return [
        Reader(
            name="devices",
            kind="toml",
            file=USER_FILE,
            contents=(tomli_w.dumps(devices).encode(),),
            read=lambda path: load_devices(),
        ),
        Reader(
            name="settings",
            kind="toml",
            file=str(FILE),
            contents=(tomli_w.dumps(settings).encode(),),
            read=_read_settings,
        ),
        Reader(
            name="space",
            kind="toml",
            file="s.toml",
            contents=(tomli_w.dumps(space).encode(),),
            read=lambda path: describe_space(find_space(path)),
        ),
    ]


def make_subnet_readers() -> list[Reader]:
    """Return the readers of subnets, architectures and manifests."""
    starter, nat = find_space("starter"), find_space("nat")
    bare = smallest(nat).to_json()
    task = {"dataset": "x", "classes": ["a", "b"], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}
    config = net_config(from_encoding(ENCODING))
    config["img_size"] = 224
    own = dataclasses.replace(starter, name="own", source="own.toml")
    head = {"format": "natdeploy.subnet/1", "weights": None, "task": task, "metrics": {"top1": 0.5}}
    files = [
        Subnet(space=starter, architecture=smallest(starter), classes=2),
        Subnet(space=own, architecture=smallest(starter), classes=2),
        Subnet(own_layers=walk(starter, smallest(starter), 2), classes=2),
    ]
    texts = [json.dumps(bare), json.dumps(config), *(json.dumps({**head, **file.describe()}) for file in files)]
    return [
        Reader(
            name="subnet",
            kind="json",
            file="subnet.json",
            contents=tuple(text.encode() for text in texts),
            read=_inspect,
        ),
        Reader(
            name="printed architecture",
            kind="text",
            file="subnet.json",
            contents=(repr(bare).encode(), ENCODING.encode()),
            read=_inspect,
        ),
        Reader(
            name="manifest",
            kind="json",
            file="x.manifest.json",
            contents=(json.dumps({"artifact": "x.onnx", "sha256": "0" * 64, "tools": {"tensorrt": "10"}}).encode(),),
            read=_read_manifest,
        ),
    ]


def _read_settings(path: Path) -> object:
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        for name, keys in default_map(COMMANDS).items():
            command = importlib.import_module(f"natdeploy.cli.{name}_command").command
            command.make_context(name, [], default_map=option_defaults(command, name, keys))
    except click.ClickException as error:
        raise InputError(explain_usage_error(error)) from error
    finally:
        os.chdir(before)
    return None


def _inspect(path: Path) -> object:
    return json.dumps(jsonable(api.inspect(path)), allow_nan=False)


def _read_manifest(path: Path) -> object:
    artifact = path.with_name("x.onnx")
    artifact.write_bytes(b"x")
    return manifest_path(path.with_name("x.tflite")), tool_version(artifact, "tensorrt")
