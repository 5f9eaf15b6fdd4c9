"""Readers of tables: latency tables, measured figures and populations."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from natdeploy import api
from natdeploy.api.results import jsonable
from natdeploy.core.architecture import smallest
from natdeploy.core.genotype import encode
from natdeploy.core.space import SearchSpace
from natdeploy.io.accuracies import read_accuracies
from natdeploy.io.foreign_tables import read_nsganet, read_ofa
from natdeploy.io.measurements import read_measurements
from natdeploy.io.populations import read_population
from natdeploy.io.spaces import find_space
from natdeploy.io.tables import format_table
from natdeploy.testing.tables import made_up_table
from tests.fuzz.corpus.reader import Reader
from tests.support.foreign_tables import W12, nsganet_text, ofa_text
from tests.support.strategies import TINY

ENCODING = "08011001440551052208877"
_FEW_ROWS = 12


def make_table_readers() -> list[Reader]:
    """Return the readers of tables."""
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


def _read_table(path: Path) -> object:
    shown = api.show_table(path, rows=True)
    return json.dumps([jsonable(shown), jsonable(api.check_table(path))], allow_nan=False)


def list_few_rows(space: SearchSpace) -> Sequence[Any]:
    """Return a few rows of a latency table."""
    return list(made_up_table(space.with_resolutions((32,))).rows.items())[:_FEW_ROWS]


def _make_table(space: SearchSpace) -> bytes:
    table = made_up_table(space.with_resolutions((32,)), fingerprint="machine")
    few = dataclasses.replace(
        table, rows=dict(list_few_rows(space)), conditions={"governor": "performance", "load": 0.1}
    )
    return format_table(few).encode()


def _make_archive(space: SearchSpace) -> bytes:
    architecture = smallest(space)
    genes = " ".join(map(str, encode(space, architecture).tolist()))
    row = f"{genes},,{architecture.resolution},{architecture.width},0.5"
    return f"row,genotype,encoding,resolution,width,top1\n0,{row}\n1,{row}\n".encode()
