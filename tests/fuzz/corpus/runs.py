"""Readers of the files in the folders of runs, and of journals."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from natdeploy import api
from natdeploy.api.searching.archive import read_archive
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.training.plan import TrainingPlan
from natdeploy.core.architecture import largest, smallest
from natdeploy.core.genotype import encode
from natdeploy.core.space import SearchSpace
from natdeploy.io.image_records import read_image_records
from natdeploy.io.run_config import parse_config
from natdeploy.io.runs import FORMAT, RunFolder
from natdeploy.io.spaces import find_space
from natdeploy.journal import Journal
from natdeploy.profilers.row_journal import RowJournal, read_journaled_fingerprint
from natdeploy.profilers.sessions import MeasurementSession
from natdeploy.testing.tables import HOST
from tests.fuzz.corpus.reader import Reader
from tests.fuzz.corpus.tables import list_few_rows


def make_run_readers() -> list[Reader]:
    """Return the readers of the files of a run, and of journals."""
    starter = find_space("starter")
    record = {"split": "train", "label": "a", "file": "a/1.png", "size_bytes": 3, "digest": "0" * 16}
    run = _make_run(starter)
    session = MeasurementSession(rows=dict(list_few_rows(starter)), reference_latency_ms=1.5)
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
        Reader(
            name="run.toml of a training",
            kind="toml",
            file="run.toml",
            contents=(_make_training(starter),),
            read=_read_training,
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


def _read_run(path: Path) -> object:
    run = RunFolder.open(path.parent)
    return read_archive(run, SearchPlan.from_config(run.config, str(path.parent / "run.toml")))


def _read_training(path: Path) -> object:
    run = RunFolder.open(path.parent)
    return parse_config(TrainingPlan, lambda: run.config["adapt"], str(path), "adaptation").genotypes


def _read_row_journal(path: Path) -> object:
    read_journaled_fingerprint(path, HOST)
    return RowJournal(Journal(path), key=f"{HOST}; machine", references=[], fresh=False).sessions


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


def _make_training(space: SearchSpace) -> bytes:
    plan = TrainingPlan(
        supernet=space.name,
        resolutions=space.resolutions,
        widths=space.widths,
        data="digits",
        settings=api.ADAPTATION,
        threads=1,
        population=(" ".join(map(str, encode(space, smallest(space)).tolist())),),
    )
    return tomli_w.dumps({"format": FORMAT, "adapt": dataclasses.asdict(plan)}).encode()


def _make_row_journal(session: MeasurementSession) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        RowJournal(Journal(path), key=f"{HOST}; machine", references=[], fresh=False).append(session)
        return path.read_bytes()


def _make_lines(values: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)
