"""What a weight file is, told by its content."""

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save

from natdeploy import api
from natdeploy.core.architecture import smallest
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import Subnet, write_subnet
from natdeploy.supernet.checkpoints import load_checkpoint, read_state, write_state
from natdeploy.supernet.weight_files import read_metadata, require_weight_file

STATE = {"a": torch.zeros(2)}
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
WEB = b"\n<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head></html>"


def _saved(state, **options):
    buffer = io.BytesIO()
    torch.save(state, buffer, **options)
    return buffer.getvalue()


def _zipped(name, content, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def _tarred(content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("w.pth")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _script():
    buffer = io.BytesIO()
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def _array(save, content):
    buffer = io.BytesIO()
    save(buffer, content)
    return buffer.getvalue()


def test_weight_files_are_known_by_their_content(tmp_path):
    """Safetensors files and checkpoints of new and old torch can hold weights, whatever their names are."""
    write_state(tmp_path / "a.pth", STATE)
    torch.save(STATE, tmp_path / "b.safetensors")
    torch.save(STATE, tmp_path / "c", _use_new_zipfile_serialization=False)
    for name, kind in (("a.pth", "safetensors"), ("b.safetensors", "torch"), ("c", "torch")):
        assert require_weight_file(tmp_path / name) == kind
        assert set(read_state(tmp_path / name)) == {"a"}


@pytest.mark.parametrize(
    ("make", "what", "hint"),
    [
        (lambda: b"", "empty", "again"),
        (lambda: LFS, "a pointer of Git LFS", "git lfs pull"),
        (lambda: WEB, r"a web page \(Google Drive - Virus scan warning\)", "browser"),
        (lambda: b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a web page", "browser"),
        (lambda: b"Invalid username or password.", "a text file, which begins with 'Invalid username", "browser"),
        (lambda: b'\xef\xbb\xbf{"message": "Not Found"}', "a text file, which begins with '{", "browser"),
        (lambda: b"\xff" * 8 + b"{", "a safetensors file that is cut off", "again"),
        (lambda: _saved(STATE)[:400], "a ZIP archive or checkpoint that is cut off", "again"),
        (lambda: gzip.compress(_saved(STATE)), "a gzip archive", "unpack"),
        (lambda: _tarred(_saved(STATE)), "a tar archive", "unpack"),
        (lambda: _zipped("w.pth", _saved(STATE)), "a ZIP archive of other files, such as 'w.pth'", "unpack"),
        (lambda: _zipped("w/data.pkl", bytes(9999), zipfile.ZIP_DEFLATED), "a compressed ZIP archive", "torch.save"),
        (_script, "a TorchScript program", "state_dict"),
        (lambda: _zipped("e/models/model.json", b"{}"), "a program of torch.export", "state_dict"),
        (lambda: pickle.dumps({"a": np.zeros(2)}), "a pickle that torch did not write", "torch.save"),
        (lambda: _array(np.save, np.zeros(2)), "a NumPy array", "state_dict"),
        (lambda: _array(np.savez, np.zeros(2)), "a ZIP archive of other files", "unpack"),
        (lambda: b"\x1c\0\0\0TFL3" + bytes(99), "a TFLite model", "exported"),
        (lambda: b"\x08\x08\x12\x07pytorch" + bytes(99), "an ONNX model", "exported"),
        (lambda: b"\x08\x01\x12\xf5\x04" + bytes(99), "a model of TensorFlow", "exported"),
        (lambda: bytes(range(128, 255)), "unknown here", None),
    ],
)
@pytest.mark.parametrize("read", [read_state, load_checkpoint])
def test_other_files_are_called_what_they_are(tmp_path, read, make, what, hint):
    """What stands in the place of weights is named with the next step, wherever weights are read."""
    path = tmp_path / "w.pth"
    path.write_bytes(make())
    with pytest.raises(InputError, match=rf"w\.pth: is .*{what}") as refused:
        read(path)
    assert hint is None or hint in str(refused.value.hint)
    assert "weights_only" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_damage_anywhere_is_one_error(tmp_path, kind):
    """Of some hundred files with a few random bytes changed, each is read or refused as bad input."""
    state = {"a.weight": torch.ones(3, 2), "a.running_var": torch.ones(3)}
    whole = save(state) if kind == "safetensors" else _saved(state, _use_new_zipfile_serialization=kind == "zip")
    rng, path = np.random.default_rng(0), tmp_path / "w.pth"
    messages = []
    for _ in range(300):
        raw = bytearray(whole)
        for place in rng.integers(0, len(raw), rng.integers(1, 6)):
            raw[place] = rng.integers(0, 256)
        path.write_bytes(raw)
        try:
            read_state(path)
        except InputError as error:
            messages.append(error.message)
    assert len(messages) > 30
    assert all("w.pth: " in message for message in messages)


def test_the_cases_of_strangers_are_refused(shared_data):
    """A pointer, a page and an empty file, as downloads leave them, are told apart."""
    for name, what in (("lfs", "Git LFS"), ("html", "a web page"), ("empty", "empty")):
        with pytest.raises(InputError, match=rf"{name}\.pth: is .*{what}"):
            read_state(shared_data / "cases" / "checkpoints" / f"{name}.pth")


def test_inspect_says_what_the_weight_file_is(tmp_path):
    """A subnet whose weight file is none is refused without reading its tensors."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(LFS)
    space = find_space("starter")
    subnet = Subnet(space=space, architecture=smallest(space), classes=1000, weights=path)
    write_subnet(tmp_path / "subnet.json", subnet)
    with pytest.raises(InputError, match=r"w\.safetensors: is a pointer of Git LFS"):
        api.inspect(tmp_path / "subnet.json")


def test_metadata_are_read_without_the_tensors(tmp_path):
    """They come back as written; a file without has none, a torch checkpoint neither, and a damaged file is named."""
    write_state(tmp_path / "a.safetensors", STATE, {"task": "text"})
    write_state(tmp_path / "b.safetensors", STATE)
    torch.save(STATE, tmp_path / "c.pth")
    found = [read_metadata(tmp_path / name) for name in ("a.safetensors", "b.safetensors", "c.pth")]
    assert found == [{"task": "text"}, {}, {}]
    whole = (tmp_path / "a.safetensors").read_bytes()
    for damaged, reason in ((b"damaged", "is a text file"), (whole[:-2], "not a readable safetensors file")):
        (tmp_path / "a.safetensors").write_bytes(damaged)
        with pytest.raises(InputError, match=rf"a\.safetensors: {reason}"):
            read_metadata(tmp_path / "a.safetensors")


@pytest.mark.parametrize("place", [".", "archive", "w"])
def test_an_unpacked_checkpoint_is_named(tmp_path, place):
    """Some systems unpack downloads: a torch checkpoint is then a folder."""
    (tmp_path / "w" / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / "w" / place / "data.pkl").touch()
    with pytest.raises(InputError, match="w: is the folder of an unpacked checkpoint, not a weight file") as caught:
        require_weight_file(tmp_path / "w")
    assert "do not unpack it" in str(caught.value.hint)


def test_an_index_of_several_files_is_named(tmp_path):
    """An index is no answer of a server in place of the file."""
    (tmp_path / "model.safetensors.index.json").write_text('{"metadata": {}, "weight_map": {"a": "1.safetensors"}}')
    with pytest.raises(InputError, match="is the index of a checkpoint in several files") as caught:
        require_weight_file(tmp_path / "model.safetensors.index.json")
    assert "join the files" in str(caught.value.hint)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_checkpoint_that_is_cut_off_is_to_be_copied_again(tmp_path, options, share):
    """The message has a reason and a next step, whichever torch wrote the file."""
    content = _saved({"a": torch.ones(5000)}, **options)
    (tmp_path / "w.pth").write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"w\.pth: (not a readable checkpoint: .|is a .* cut off)") as caught:
        read_state(tmp_path / "w.pth")
    assert caught.value.hint == "download or copy it again"
