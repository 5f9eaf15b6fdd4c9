"""The weights that supernets begin with: packaged, released, or a user's own."""

import dataclasses
import hashlib
import json

import pytest
import torch

from natdeploy.errors import InputError
from natdeploy.io import supernet_weights
from natdeploy.io.spaces import find_space
from natdeploy.io.supernet_weights import (
    find_packaged_task,
    find_weights,
    has_packaged,
    has_released,
    packaged_folder,
    read_task,
)
from natdeploy.supernet.checkpoints import write_state
from natdeploy.testing.fakes import RecordingReporter
from tests.support.http_server import SilentHandler, served

STARTER, NAT = find_space("starter"), find_space("nat")
NAMES = ("ofa_mbv3_d234_e346_k357_w1.0", "ofa_mbv3_d234_e346_k357_w1.2")
OFFLINE = "http://127.0.0.1:9/"


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """The folder of packaged weights, with those of the starter."""
    folder = tmp_path / "packaged"
    write_state(folder / "starter.safetensors", {"a": torch.ones(3)})
    monkeypatch.setattr(supernet_weights, "packaged_folder", lambda: folder)
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's folder; nothing goes through a proxy."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "home"


@pytest.fixture
def there(tmp_path):
    """The folder that is served: both released files, of a few bytes each."""
    folder = tmp_path / "there"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        torch.save({"state_dict": {"a": torch.full((3,), float(number))}}, folder / name)
    return folder


def sha256(path):
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_packaged_weights_lie_inside_the_package():
    """They are looked for in the folder that the package's data name."""
    assert packaged_folder().parts[-2:] == ("natdeploy", "weights")


def test_packaged_weights_are_found_by_their_supernet(packaged):
    """The packaged file of a supernet has its name; others have none, and the error says so."""
    found = find_weights(STARTER, "packaged")
    path = packaged / "starter.safetensors"
    assert [(file.path, file.width, file.sha256) for file in found.files] == [(path, None, sha256(path))]
    assert found.name == "packaged"
    assert (has_packaged(STARTER), has_packaged(NAT)) == (True, False)
    with pytest.raises(InputError, match="no weights are packaged for supernet nat") as refused:
        find_weights(NAT, "packaged")
    assert "--weights released" in str(refused.value.hint)


def test_the_task_of_the_classifier_comes_with_the_file(packaged):
    """It is described as in a subnet file; a file without has none, and a wrong description is told by its key."""
    path, state = packaged / "starter.safetensors", {"a": torch.ones(3)}
    assert (read_task(path), find_packaged_task(STARTER), find_packaged_task(NAT)) == (None, None, None)
    task = {"dataset": "shapes", "classes": ["round", "square"], "mean": [0.5] * 3, "std": [0.2] * 3}
    write_state(path, state, {"task": json.dumps(task)})
    assert find_packaged_task(STARTER) == task
    write_state(path, state, {"task": json.dumps({**task, "std": [0.2] * 2})})
    with pytest.raises(InputError, match=r"starter\.safetensors: the task in its metadata: std"):
        read_task(path)
    write_state(path, state, {"task": "[1"})
    with pytest.raises(InputError, match=r"starter\.safetensors: the task in its metadata: not valid JSON"):
        read_task(path)


def test_a_file_of_the_users_own_is_checked_and_becomes_absolute(packaged, monkeypatch):
    """A file is found in the current folder, and named as it is called from anywhere; a damaged one is refused."""
    monkeypatch.chdir(packaged)
    assert find_weights(STARTER, "starter.safetensors").name == str((packaged / "starter.safetensors").resolve())
    (packaged / "starter.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"starter\.safetensors: is a text file"):
        find_weights(STARTER, "starter.safetensors")


def test_weights_that_changed_are_refused(packaged):
    """What a run began with must still be there; a run that does not tell its hash is not held to it."""
    before = find_weights(STARTER, "packaged")
    before.require_unchanged(before.sha256, "run.toml")
    write_state(packaged / "starter.safetensors", {"a": torch.zeros(3)})
    after = find_weights(STARTER, "packaged")
    after.require_unchanged((), "run.toml")
    with pytest.raises(InputError, match=rf"{after.sha256[0][:12]}.*run\.toml.*\(packaged\).*{before.sha256[0][:12]}"):
        after.require_unchanged(before.sha256, "run.toml")


def test_released_weights_are_downloaded_once(home, there, monkeypatch):
    """Both widths are fetched with progress and kept with their hashes; the next call needs no network."""
    reporter = RecordingReporter()
    with served(there) as address:
        monkeypatch.setattr(supernet_weights, "RELEASED_ADDRESS", f"{address}/")
        found = find_weights(NAT, "released", reporter)
    assert [file.width for file in found.files] == [1.0, 1.2]
    assert found.sha256 == tuple(sha256(there / name) for name in NAMES)
    assert len(reporter.said) == 2
    assert {step.stage for step in reporter.steps} == {f"downloading {name}" for name in NAMES}
    kept = {path.name for path in (home / "weights").iterdir()}
    assert kept == {*NAMES, *(f"{name}.sha256" for name in NAMES)}
    monkeypatch.setattr(supernet_weights, "RELEASED_ADDRESS", OFFLINE)
    assert find_weights(NAT, "released") == found
    assert find_weights(dataclasses.replace(NAT, widths=(1.2,)), "released").files == found.files[1:]


def test_without_a_network_the_error_says_where_to_put_the_file(home, there, monkeypatch):
    """The error names address and place; a file that was put there by hand is taken, and its hash kept."""
    monkeypatch.setattr(supernet_weights, "RELEASED_ADDRESS", OFFLINE)
    space, path = find_space("ofa-mbv3-w1.0"), home / "weights" / NAMES[0]
    with pytest.raises(InputError, match=f"{NAMES[0]} is not in .* and cannot be downloaded: ") as refused:
        find_weights(space, "released")
    assert str(refused.value.hint).startswith(f"get it from {OFFLINE}{NAMES[0]} and save it as {path}")
    assert list((home / "weights").iterdir()) == []
    path.write_bytes((there / NAMES[0]).read_bytes())
    assert find_weights(space, "released").sha256 == (sha256(path),)
    path.write_bytes((there / NAMES[1]).read_bytes())
    with pytest.raises(InputError, match=rf"{NAMES[0]}: its sha256 is {sha256(path)}, no longer"):
        find_weights(space, "released")


def test_what_is_no_checkpoint_is_not_kept(home, there, monkeypatch):
    """A page of words in the place of the file, or an address that is gone, leaves nothing behind."""
    (there / NAMES[0]).write_text("<html>sign in</html>")
    (there / NAMES[1]).unlink()
    with served(there) as address:
        monkeypatch.setattr(supernet_weights, "RELEASED_ADDRESS", f"{address}/")
        with pytest.raises(InputError, match=rf"cannot be downloaded: the file from {address}\S+ is a web page, not a"):
            find_weights(find_space("ofa-mbv3-w1.0"), "released")
        with pytest.raises(InputError, match="cannot be downloaded: HTTP Error 404"):
            find_weights(find_space("ofa-mbv3-w1.2"), "released")
    assert list((home / "weights").iterdir()) == []


def test_a_download_that_is_cut_short_is_not_kept(home, there, monkeypatch):
    """Fewer bytes than were announced are no file."""

    class ShortHandler(SilentHandler):
        def send_header(self, keyword, value):
            super().send_header(keyword, str(int(value) + 1000) if keyword == "Content-Length" else value)

    with served(there, ShortHandler) as address:
        monkeypatch.setattr(supernet_weights, "RELEASED_ADDRESS", f"{address}/")
        with pytest.raises(InputError, match="cut short"):
            find_weights(find_space("ofa-mbv3-w1.0"), "released")
    assert list((home / "weights").iterdir()) == []


def test_nothing_was_released_for_other_widths(home):
    """The starter has no released weights, and nothing is tried."""
    assert (has_released(NAT), has_released(STARTER)) == (True, False)
    assert not has_released(find_space("lite"))
    with pytest.raises(InputError, match="OFA released no weights for supernet starter"):
        find_weights(STARTER, "released")
    assert not home.exists()
