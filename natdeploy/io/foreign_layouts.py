"""Recognizes data sets in layouts that natdeploy does not read, and says which layout it reads."""

from __future__ import annotations

import os
from pathlib import Path

LAYOUT = "layout: FOLDER/train/CLASS/IMAGE and FOLDER/test/CLASS/IMAGE, or FOLDER/CLASS/IMAGE"
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".7z", ".rar")
_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".txt", ".xlsx")
_PACKED = (".parquet", ".arrow", ".tfrecord", ".tfrecords", ".npz", ".npy", ".h5", ".hdf5", ".mat", ".lmdb", ".mdb")
_KINDS = (
    (_ARCHIVES, "unpack the archive and give the folder"),
    (_PACKED, "packed images are not read: write each as a file"),
    (_TABLES, "labels are read from folders, not from tables: move each image into the folder of its class"),
    ((".jpg", ".jpeg", ".png"), "move each image into the folder of its class"),
)
IMAGE_FOLDERS = frozenset({"image", "images", "img", "imgs", "jpegimages"})
_BOXES = frozenset({"annotation", "annotations", "imagesets", "segmentationclass", "segmentationobject"})
MASK_FOLDERS = frozenset({"mask", "masks", "label", "labels", "bbox", "bboxes", "depth"})


def describe_file(path: Path) -> str | None:
    """Return what to do with a file that was given as a data set; None if it is of no known kind."""
    return _describe_names([path.name])


def describe_layout(folder: Path) -> str | None:
    """Return what to do with a folder in the layout of another kind of data set; None if none is recognized."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries]
    except OSError:
        return None
    folders = {name.lower() for name, is_dir in found if is_dir}
    if folders & IMAGE_FOLDERS and (
        folders & _BOXES or (folders <= IMAGE_FOLDERS | MASK_FOLDERS and folders & MASK_FOLDERS)
    ):
        kind = "Pascal VOC or COCO" if folders & _BOXES else "YOLO, or of segmentation"
        return f"it looks like a set for object detection ({kind}), but natdeploy classifies whole images; {LAYOUT}"
    return None if len(folders) > 1 else _describe_names([name for name, is_dir in found if not is_dir])


def _describe_names(names: list[str]) -> str | None:
    for endings, hint in _KINDS:
        if any(name.lower().endswith(endings) for name in names):
            return f"{hint}; {LAYOUT}"
    return None
