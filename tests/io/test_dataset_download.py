"""Published data sets that are missing: download, and what is said where that is impossible."""

import hashlib
import tarfile

import pytest
from torchvision import datasets

from natdeploy.errors import InputError
from natdeploy.io.datasets import load_classes, load_task
from natdeploy.io.published_sets import PUBLISHED
from natdeploy.testing.fakes import RecordingReporter
from tests.support import tiny_sets
from tests.support.http_server import served

OFFLINE = "http://127.0.0.1:9/nothing.tar.gz"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder of the data sets; nothing goes through a proxy."""
    monkeypatch.setenv("NATDEPLOY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "data"


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """The archive of a tiny DTD."""
    tiny_sets.make("dtd", tmp_path / "made", monkeypatch)
    path = tmp_path / "served" / "dtd-r1.0.1.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / "made" / "dtd" / "dtd", "dtd")
    monkeypatch.setattr(datasets.DTD, "_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    return path


def test_a_missing_set_is_downloaded_once(root, archive, monkeypatch):
    """The archive is fetched, checked and unpacked into the set's folder; the next call needs no server."""
    reporter = RecordingReporter()
    with served(archive.parent) as address:
        monkeypatch.setattr(datasets.DTD, "_URL", f"{address}/{archive.name}")
        assert load_classes("dtd", reporter=reporter) == tiny_sets.CLASSES
    assert reporter.said == [f"DTD is not in {root / 'dtd'}: downloading it"]
    assert [entry.name for entry in root.iterdir()] == ["dtd"]
    assert len(load_task("dtd", 16).test) == 9


def test_a_broken_download_leaves_nothing(root, archive, monkeypatch):
    """An archive of another checksum is refused, and no folder is left that looks like the set."""
    archive.write_bytes(archive.read_bytes()[:-20])
    with served(archive.parent) as address:
        monkeypatch.setattr(datasets.DTD, "_URL", f"{address}/{archive.name}")
        with pytest.raises(InputError, match=r"cannot be downloaded: File not found or corrupted$"):
            load_task("dtd", 16)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name", "address"),
    [
        (datasets.CIFAR10, "cifar10", "url"),
        (datasets.CIFAR100, "cifar100", "url"),
        (datasets.STL10, "stl10", "url"),
        (datasets.FGVCAircraft, "aircraft", "_URL"),
        (datasets.DTD, "dtd", "_URL"),
        (datasets.Flowers102, "flowers102", "_download_url_prefix"),
        (datasets.Food101, "food101", "_URL"),
        (datasets.OxfordIIITPet, "pets", "_RESOURCES"),
    ],
)
def test_without_a_network_the_error_says_where_to_put_what(root, monkeypatch, kind, name, address):
    """A set that cannot be downloaded is an error that tells its page and its folder, and nothing is left."""
    monkeypatch.setattr(kind, address, [(OFFLINE, "")] if address == "_RESOURCES" else OFFLINE)
    with pytest.raises(InputError, match=f"is not in {root / name} and cannot be downloaded") as caught:
        load_task(name, 16)
    one = PUBLISHED[name]
    assert caught.value.hint == f"get it from {one.source} and put {one.content} into {root / name}"
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("name", ["cars", "imagenet", "cinic10"])
def test_sets_that_are_not_for_download_are_asked_for(root, name):
    """Of sets that cannot be downloaded, the error says the same without trying."""
    (root / name).mkdir(parents=True)
    with pytest.raises(InputError, match=f"{PUBLISHED[name].title.split()[0]}.* is not in {root / name}$") as caught:
        load_task(name, 16)
    assert f"into {root / name}" in caught.value.hint


def test_nothing_is_downloaded_where_that_is_not_wanted(root, archive, monkeypatch):
    """Work that only would like the images does not fetch gigabytes."""
    with served(archive.parent) as address:
        monkeypatch.setattr(datasets.DTD, "_URL", f"{address}/{archive.name}")
        with pytest.raises(InputError, match="DTD is not in"):
            load_task("dtd", 16, download=False)
    assert not root.exists()
