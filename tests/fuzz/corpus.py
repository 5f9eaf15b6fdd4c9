"""Every reader of natdeploy, with whole files that it reads."""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import tomli_w
import torch
from PIL import Image
from safetensors.torch import save

from natdeploy import api
from natdeploy.api.results import jsonable
from natdeploy.api.searching.archive import read_archive
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.cli.config import FILE, default_map, explain_usage_error, option_defaults
from natdeploy.cli.group import COMMANDS
from natdeploy.core.architecture import largest, smallest
from natdeploy.core.genotype import encode
from natdeploy.core.layers import walk
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.export.manifest import manifest_path, tool_version
from natdeploy.io.accuracies import read_accuracies
from natdeploy.io.devices import USER_FILE, load_devices
from natdeploy.io.encodings import from_encoding
from natdeploy.io.foreign_tables import read_nsganet, read_ofa
from natdeploy.io.image_files import SquareReader
from natdeploy.io.image_records import read_image_records
from natdeploy.io.measurements import read_measurements
from natdeploy.io.populations import read_population
from natdeploy.io.runs import FORMAT, RunFolder
from natdeploy.io.space_files import describe_space
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import Subnet
from natdeploy.io.supernet_weights import read_supernet, read_task
from natdeploy.io.tables import format_table
from natdeploy.journal import Journal
from natdeploy.profilers.row_journal import RowJournal, read_journaled_fingerprint
from natdeploy.profilers.sessions import MeasurementSession
from natdeploy.search.pretrained_predictor import RESOLUTIONS, PretrainedPredictor
from natdeploy.supernet.accuracy_file import read_perceptron
from natdeploy.supernet.checkpoints import load_checkpoint, read_state
from natdeploy.testing.tables import HOST, made_up_table
from tests.support.foreign_tables import W12, nsganet_text, ofa_text
from tests.support.netconfigs import net_config
from tests.support.strategies import TINY

ENCODING = "08011001440551052208877"
_FEW_ROWS = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader of files.

    Args:
        name: Its name.
        kind: The format of the files, for `tests.fuzz.mutations.damage`.
        file: Name that the file has when it is read.
        contents: Whole files.
        read: Reads the file, and works with what is in it.
        beside: Files that lie beside it.
    """

    name: str
    kind: str
    file: str
    contents: tuple[bytes, ...]
    read: Callable[[Path], object]
    beside: Mapping[str, bytes] = dataclasses.field(default_factory=dict)


def make_readers() -> list[Reader]:
    """Return every reader."""
    return [*_table_readers(), *_settings_readers(), *_subnet_readers(), *_run_readers(), *_binary_readers()]


def _table_readers() -> list[Reader]:
    starter, nat = find_space("starter"), find_space("nat")
    architecture = json.dumps(smallest(starter).to_json()).replace('"', '""')
    measured = f'architecture,latency_ms,classes\n"{architecture}",1.5,10\n"{architecture}",2,\n'
    encoded = f"encoding,latency_ms\n{ENCODING},12.5\n{ENCODING},13\n"
    accuracies = f"top1,encoding\n0.75,{ENCODING}\n0.5,{ENCODING}\n"
    dynast = f"{{'wid': None, 'ks': {[3] * 10}, 'e': {[3] * 10}, 'd': {[2] * 5}, 'r': [224]}}"
    return [
        Reader(name="table", kind="table", file="t.csv", contents=(_make_table(starter),), read=_read_table),
        Reader(
            name="measurements",
            kind="csv",
            file="m.csv",
            contents=(measured.encode(),),
            read=lambda path: read_measurements(path, starter),
        ),
        Reader(
            name="measurements of encodings",
            kind="csv",
            file="m.csv",
            contents=(encoded.encode(),),
            read=lambda path: read_measurements(path, nat),
        ),
        Reader(
            name="accuracies",
            kind="csv",
            file="a.csv",
            contents=(accuracies.encode(),),
            read=lambda path: read_accuracies(path, nat),
        ),
        Reader(
            name="accuracies of DyNAS-T",
            kind="csv",
            file="a.csv",
            contents=(f'Sub-network,Top-1 Acc (%)\n"{dynast}",75.5\n'.encode(),),
            read=lambda path: read_accuracies(path, W12),
        ),
        Reader(
            name="population",
            kind="csv",
            file="p.csv",
            contents=(_make_archive(starter), f'architecture\n"{architecture}"\n'.encode()),
            read=lambda path: read_population(path, starter),
        ),
        Reader(
            name="table of once-for-all",
            kind="yaml",
            file="64_lookup_table.yaml",
            contents=(ofa_text(64, space=TINY).encode(),),
            read=lambda path: read_ofa(path, TINY),
        ),
        Reader(
            name="table of NSGANetV2",
            kind="yaml",
            file="n.yaml",
            contents=(nsganet_text(TINY).encode(),),
            read=lambda path: read_nsganet(path, TINY),
        ),
    ]


def _settings_readers() -> list[Reader]:
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


def _subnet_readers() -> list[Reader]:
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


def _run_readers() -> list[Reader]:
    starter = find_space("starter")
    record = {"split": "train", "label": "a", "file": "a/1.png", "size_bytes": 3, "digest": "0" * 16}
    run = _make_run(starter)
    session = MeasurementSession(rows=dict(_few_rows(starter)), reference_latency_ms=1.5)
    return [
        Reader(
            name="images of a run",
            kind="jsonl",
            file="images.jsonl",
            contents=(_make_lines([record, {**record, "split": "test"}]),),
            read=lambda path: read_image_records(path.parent),
        ),
        Reader(
            name="journal",
            kind="jsonl",
            file="journal.jsonl",
            contents=(run["journal.jsonl"],),
            read=lambda path: Journal(path).events,
        ),
        Reader(
            name="journal of a profile",
            kind="jsonl",
            file="t.journal.jsonl",
            contents=(_make_row_journal(session),),
            read=_read_row_journal,
        ),
        *(
            Reader(
                name=f"{name} of a search",
                kind=name.rpartition(".")[2],
                file=name,
                contents=(run[name],),
                read=_read_run,
                beside={other: content for other, content in run.items() if other != name},
            )
            for name in run
        ),
    ]


def _binary_readers() -> list[Reader]:
    state = {
        "0.weight": torch.rand(8, 128),
        "0.bias": torch.rand(8),
        "2.weight": torch.rand(1, 8),
        "2.bias": torch.rand(1),
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


def _read_table(path: Path) -> object:
    shown = api.show_table(path, rows=True)
    return json.dumps([jsonable(shown), jsonable(api.check_table(path))], allow_nan=False)


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


def _read_run(path: Path) -> object:
    run = RunFolder.open(path.parent)
    return read_archive(run, SearchPlan.from_config(run.config, str(path.parent / "run.toml")))


def _read_manifest(path: Path) -> object:
    artifact = path.with_name("x.onnx")
    artifact.write_bytes(b"x")
    return manifest_path(path.with_name("x.tflite")), tool_version(artifact, "tensorrt")


def _read_row_journal(path: Path) -> object:
    read_journaled_fingerprint(path, HOST)
    return RowJournal(Journal(path), key=f"{HOST}; machine", references=[], fresh=False).sessions


def _read_weights(path: Path) -> object:
    return read_state(path), read_task(path), read_supernet(path)


def _few_rows(space: SearchSpace) -> Sequence[Any]:
    return list(made_up_table(space.with_resolutions((32,))).rows.items())[:_FEW_ROWS]


def _make_table(space: SearchSpace) -> bytes:
    table = made_up_table(space.with_resolutions((32,)), fingerprint="machine")
    few = dataclasses.replace(table, rows=dict(_few_rows(space)), conditions={"governor": "performance", "load": 0.1})
    return format_table(few).encode()


def _make_archive(space: SearchSpace) -> bytes:
    architecture = smallest(space)
    genes = " ".join(map(str, encode(space, architecture).tolist()))
    row = f"{genes},,{architecture.resolution},{architecture.width},0.5"
    return f"row,genotype,encoding,resolution,width,top1\n0,{row}\n1,{row}\n".encode()


def _make_lines(values: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def _make_run(space: SearchSpace) -> dict[str, bytes]:
    """Return the files of a finished search with one iteration and two architectures."""
    plan = SearchPlan(
        supernet=space.name,
        resolutions=space.resolutions,
        widths=space.widths,
        data="digits",
        goal=api.SearchGoal(devices=("host",), latency_limits_ms=({"host": 20.0},)),
        weights="",
        preset=api.find_preset("quick", {"iterations": 1, "initial": 6, "candidates": 1}),
        seed=0,
        threads=1,
    )
    rows = [encode(space, end).tolist() for end in (smallest(space), largest(space))]
    evaluated = [
        {"event": "evaluated", "round": number, "genotype": genes, "top1": 0.5}
        for number, genes in ((0, rows[0]), (1, rows[1]), (2, rows[0]), (2, rows[1]))
    ]
    proposed = {"event": "proposed", "iteration": 1, "genotypes": rows[1:], "predicted": [0.5]}
    figures = {"best_top1": 0.5, "best_within": [None], "hypervolume": 1.5, "reference": {"error": 0.75}}
    events = [evaluated[0], proposed, evaluated[1], {"event": "iteration", "iteration": 1, **figures}, *evaluated[2:]]
    archive = "".join(f"{row},{' '.join(map(str, genes))},0.5\n" for row, genes in enumerate(rows))
    return {
        "run.toml": tomli_w.dumps({"format": FORMAT, **plan.to_config()}).encode(),
        "journal.jsonl": _make_lines([*events, {"event": "finished", "at": "2024-02-03T04:05:06+00:00"}]),
        "archive.csv": f"row,genotype,top1\n{archive}".encode(),
    }


def _make_row_journal(session: MeasurementSession) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        RowJournal(Journal(path), key=f"{HOST}; machine", references=[], fresh=False).append(session)
        return path.read_bytes()


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
