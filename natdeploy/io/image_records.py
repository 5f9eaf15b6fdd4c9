"""Records which images a run has and in which split each is, and finds what has changed since."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from natdeploy.documents import read_json_lines
from natdeploy.errors import InputError
from natdeploy.files import write_text
from natdeploy.io.image_folders import name_split
from natdeploy.io.image_walk import ImageWalk
from natdeploy.io.validation import find_fault
from natdeploy.ports import Reporter
from natdeploy.readers import RECORDS_BYTES
from natdeploy.supernet.image_record import ImageRecord

FILE_NAME = "images.jsonl"
_LINE = "an image of a run"
# Maximum number of images that a message names.
_NAMED = 5
_HINT = "restore the images, name the folder where they are now with --data, or start a new run"


def write_image_records(run: Path, records: Sequence[ImageRecord]) -> None:
    """Write the images of a run into its folder.

    Raises:
        OutputError: The file cannot be written.
    """
    lines = "".join(json.dumps(dataclasses.asdict(record)) + "\n" for record in records)
    write_text(run / FILE_NAME, lines)


def read_image_records(run: Path) -> tuple[ImageRecord, ...] | None:
    """Read the images of a run. None: it has recorded none.

    Raises:
        InputError: The file is damaged. The message names the line.
    """
    source = run / FILE_NAME
    if not os.path.lexists(source):
        return None
    adapter = TypeAdapter(ImageRecord)
    records = []
    for place, content in read_json_lines(source, RECORDS_BYTES, _LINE):
        try:
            records.append(adapter.validate_python(content))
        except ValidationError as error:
            msg = f"{place}: not {_LINE}: {find_fault(error, content)}"
            raise InputError(msg) from error
    return tuple(records)


def require_recorded(folder: Path, records: Sequence[ImageRecord], reporter: Reporter | None) -> None:
    """Check by name and size that a folder has the images of a run. Images that are new are told and do no harm.

    Raises:
        InputError: Images are missing or have changed. The message names them.
    """
    if not folder.is_dir():
        msg = f"{folder}: the folder with the images of the run is not there"
        raise InputError(msg, hint="if it has moved, name it with --data FOLDER")
    missing, changed = [], []
    for record in records:
        try:
            size_bytes = (folder / record.file).stat().st_size
        except OSError:
            missing.append(record.file)
        else:
            if size_bytes != record.size_bytes:
                changed.append(record.file)
    new = _find_new(folder, records)
    if missing or changed:
        _refuse(folder, {"missing": missing, "changed": changed, "new": new})
    if new and reporter is not None:
        told = _describe({"new": new})
        reporter.warn(f"{folder}: {told} since the run began, and not used: the run keeps its images and splits")


def require_digests(folder: Path, records: Sequence[ImageRecord], digests: Mapping[str, str]) -> None:
    """Check the content of the images of a run, as far as it was read.

    Args:
        folder: Folder of the data set.
        records: Images of the run.
        digests: Digests of the files that were read, by path.

    Raises:
        InputError: Images have changed. The message names them.
    """
    changed = [one.file for one in records if digests.get(str(folder / one.file), one.digest) != one.digest]
    if changed:
        _refuse(folder, {"changed": changed})


def _find_new(folder: Path, records: Sequence[ImageRecord]) -> list[str]:
    """Return the images that are where those of the run are, and were not among them."""
    known = {record.file for record in records}
    tops = {record.file.split("/")[0] for record in records}
    walk = ImageWalk()
    if not all(record.label for record in records):
        found = walk.list_images(folder)
    else:
        # Without folders of splits, every folder is a class.
        classes = set() if any(name_split(top) for top in tops) else set(walk.list_folders(folder))
        places = [folder / top for top in sorted(tops | classes)]
        found = [path for place in places if place.is_dir() for path in walk.list_images(place)]
    return [name for name in (Path(os.path.relpath(path, folder)).as_posix() for path in found) if name not in known]


def _refuse(folder: Path, differences: Mapping[str, Sequence[str]]) -> None:
    msg = f"{folder}: not the images that the run began with: {_describe(differences)}"
    raise InputError(msg, hint=_HINT)


def _describe(differences: Mapping[str, Sequence[str]]) -> str:
    parts = []
    for what, files in differences.items():
        if files:
            more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
            count = "1 image" if len(files) == 1 else f"{len(files)} images"
            verb = {"changed": "has" if len(files) == 1 else "have"}.get(what, "is" if len(files) == 1 else "are")
            parts.append(f"{count} {verb} {what} ({', '.join(files[:_NAMED])}{more})")
    return "; ".join(parts)
