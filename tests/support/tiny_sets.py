"""The published data sets, tiny: a few plain images in each set's own layout.

Every image is of one grey, which tells its class and whether it is for testing.
"""

import dataclasses
import hashlib
import json
import pickle
from types import MappingProxyType

import numpy as np
import scipy.io
from PIL import Image
from torchvision import datasets

from natdeploy.io import dataset_download, image_sources, published_sets

CLASSES = ("ant", "bee", "cat")
PER_CLASS = 8
TESTED = 3
NATIVE = {"cifar10": 32, "cifar100": 32, "cinic10": 32, "stl10": 84}


def grey(label, *, test):
    """Return the grey of a class."""
    return 30 + 70 * label + (30 if test else 0)


def known(pixel):
    """Return class and whether it is for testing, from a grey."""
    return (pixel - 20) // 70, (pixel - 20) % 70 > 25


def image(path, label, *, test, size=(50, 40)):
    """Write an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey(label, test=test),) * 3).save(path)


def labels_of(*, test):
    """Return the labels of a split, in turns."""
    return list(range(len(CLASSES))) * (TESTED if test else PER_CLASS)


def md5(path):
    """Return the checksum that torchvision looks at."""
    return hashlib.md5(path.read_bytes()).hexdigest()


def array(labels, *, test, size):
    """Return plain images as an array, channels first."""
    greys = np.array([grey(label, test=test) for label in labels], dtype=np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (len(labels), 3, size, size)).copy()


def _pickled(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def _cifar(kind, key):
    def make(root, patch):
        folder = root / kind.base_folder
        for lists, test in ((kind.train_list, False), (kind.test_list, True)):
            shares = np.array_split(labels_of(test=test), len(lists))
            for (name, _), share in zip(lists, shares, strict=True):
                pixels = array(share, test=test, size=32).reshape(len(share), -1)
                _pickled(folder / name, {"data": pixels, key: share.tolist()})
        _pickled(folder / kind.meta["filename"], {kind.meta["key"]: list(CLASSES)})
        for name in ("train_list", "test_list"):
            patch.setattr(kind, name, [[file, md5(folder / file)] for file, _ in getattr(kind, name)])
        patch.setattr(kind, "meta", {**kind.meta, "md5": md5(folder / kind.meta["filename"])})

    return make


def _stl10(root, patch):
    folder, kind = root / "stl10_binary", datasets.STL10
    folder.mkdir(parents=True)
    for split, test in (("train", False), ("test", True)):
        labels = labels_of(test=test)
        array(labels, test=test, size=96).tofile(folder / f"{split}_X.bin")
        (np.array(labels, dtype=np.uint8) + 1).tofile(folder / f"{split}_y.bin")
    (folder / "unlabeled_X.bin").write_bytes(b"")
    (folder / "class_names.txt").write_text("\n".join(CLASSES))
    for name in ("train_list", "test_list"):
        patch.setattr(kind, name, [[file, md5(folder / file)] for file, _ in getattr(kind, name)])


def _aircraft(root, patch):
    folder = root / "fgvc-aircraft-2013b" / "data"
    for split, test in (("trainval", False), ("test", True)):
        lines = []
        for number, label in enumerate(labels_of(test=test)):
            image(folder / "images" / f"{split}{number:04}.jpg", label, test=test)
            lines.append(f"{split}{number:04} {CLASSES[label]}")
        (folder / f"images_variant_{split}.txt").write_text("\n".join(lines))
    (folder / "variants.txt").write_text("\n".join(CLASSES))


def _cars(root, patch):
    folder = root / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    places = {False: "devkit/cars_train_annos.mat", True: "cars_test_annos_withlabels.mat"}
    for test, place in places.items():
        rows = []
        for number, label in enumerate(labels_of(test=test)):
            image(folder / ("cars_test" if test else "cars_train") / f"{number:05}.jpg", label, test=test)
            rows.append((f"{number:05}.jpg", np.uint8(label + 1)))
        annotations = np.array(rows, dtype=[("fname", object), ("class", object)])
        scipy.io.savemat(folder / place, {"annotations": annotations})
    scipy.io.savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array(CLASSES, dtype=object)})


def _dtd(root, patch):
    folder = root / "dtd" / "dtd"
    (folder / "labels").mkdir(parents=True)
    for split, share in (("train", slice(0, 15)), ("val", slice(15, 24)), ("test", slice(None))):
        test = split == "test"
        lines = []
        for number, label in enumerate(labels_of(test=test)[share]):
            name = f"{CLASSES[label]}/{split}_{number:04}.jpg"
            image(folder / "images" / name, label, test=test)
            lines.append(name)
        (folder / "labels" / f"{split}1.txt").write_text("\n".join(lines))


def _flowers102(root, patch):
    folder, kind = root / "flowers-102", datasets.Flowers102
    labels = [*labels_of(test=False), *labels_of(test=True)]
    numbers = np.arange(1, len(labels) + 1)
    for number, label in zip(numbers, labels, strict=True):
        image(folder / "jpg" / f"image_{number:05}.jpg", label, test=number > 24)
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": np.array(labels) + 1})
    scipy.io.savemat(folder / "setid.mat", {"trnid": numbers[:15], "valid": numbers[15:24], "tstid": numbers[24:]})
    sums = {key: (name, md5(folder / name)) for key, (name, _) in kind._file_dict.items() if key != "image"}
    patch.setattr(kind, "_file_dict", {**kind._file_dict, **sums})


def _food101(root, patch):
    folder = root / "food-101"
    (folder / "meta").mkdir(parents=True)
    for split, test in (("train", False), ("test", True)):
        content = {name: [] for name in reversed(CLASSES)}
        for number, label in enumerate(labels_of(test=test)):
            image(folder / "images" / CLASSES[label] / f"{split}{number}.jpg", label, test=test)
            content[CLASSES[label]].append(f"{CLASSES[label]}/{split}{number}")
        (folder / "meta" / f"{split}.json").write_text(json.dumps(content))


def _pets(root, patch):
    folder = root / "oxford-iiit-pet"
    (folder / "annotations").mkdir(parents=True)
    for split, test in (("trainval", False), ("test", True)):
        lines = []
        for number, label in enumerate(labels_of(test=test)):
            name = f"{CLASSES[label]}_{split[:2]}{number}"
            image(folder / "images" / f"{name}.jpg", label, test=test)
            lines.append(f"{name} {label + 1} 1 1")
        (folder / "annotations" / f"{split}.txt").write_text("\n".join(lines))


def _folders(suffix, size, **shares):
    def make(root, patch):
        for split, share in shares.items():
            test = split == list(shares)[-1]
            for number, label in enumerate(labels_of(test=test)[share]):
                image(root / split / CLASSES[label] / f"{split} {number}{suffix}", label, test=test, size=size)

    return make


MAKERS = {
    "cifar10": _cifar(datasets.CIFAR10, "labels"),
    "cifar100": _cifar(datasets.CIFAR100, "fine_labels"),
    "cinic10": _folders(".png", (32, 32), train=slice(0, 12), valid=slice(12, 24), test=slice(None)),
    "stl10": _stl10,
    "aircraft": _aircraft,
    "cars": _cars,
    "dtd": _dtd,
    "flowers102": _flowers102,
    "food101": _food101,
    "pets": _pets,
    "imagenet": _folders(".JPEG", (50, 40), train=slice(None), val=slice(None)),
}


def expect_tiny(name, patch):
    """Have natdeploy expect the tiny size of a set instead of the published one."""
    published = published_sets.PUBLISHED[name]
    classes = published.classes if name == "flowers102" else len(CLASSES)
    tiny = dataclasses.replace(published, classes=classes, train=PER_CLASS * len(CLASSES), test=TESTED * len(CLASSES))
    sets = MappingProxyType({**published_sets.PUBLISHED, name: tiny})
    for module in (published_sets, dataset_download, image_sources):
        patch.setattr(module, "PUBLISHED", sets)


def make(name, root, patch):
    """Write the tiny set and expect it."""
    MAKERS[name](root, patch)
    expect_tiny(name, patch)
