"""Pixels in memory and in files, behind one interface."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from natdeploy.errors import InputError
from natdeploy.supernet.images import ImageFiles, concatenate, count_bytes, iterate_batches, load, select

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 5, 5, 3), dtype=np.uint8)


class Disk:
    """Stands in for files: `17` is the path of image 17."""

    def __init__(self):
        self.read_paths, self.threads = [], set()
        self._lock = threading.Lock()

    def read(self, path):
        """Return the pixels of a path."""
        with self._lock:
            self.read_paths.append(path)
            self.threads.add(threading.get_ident())
        if path == "broken":
            msg = "broken: not a readable image"
            raise InputError(msg)
        return PIXELS[int(path)]


@pytest.fixture
def disk():
    """Files, and what was read of them."""
    return Disk()


@pytest.fixture
def files(disk):
    """All images as files."""
    with ThreadPoolExecutor(3) as pool:
        paths = np.array([str(number) for number in range(len(PIXELS))], dtype=object)
        yield ImageFiles(paths=paths, size=5, read=disk.read, pool=pool)


@pytest.fixture
def tensor():
    """The same images in memory."""
    return torch.from_numpy(PIXELS).permute(0, 3, 1, 2).contiguous()


@pytest.mark.parametrize(
    "where", [torch.tensor([7, 2, 2, 39]), torch.arange(40) % 3 == 0, torch.tensor([], dtype=torch.int64)]
)
def test_files_are_indexed_as_a_tensor_is(files, tensor, where):
    """Indices, also repeated or none, and masks give the same pixels of either storage."""
    assert torch.equal(files[where], tensor[where])
    assert torch.equal(load(select(files, where)), select(tensor, where))


def test_both_have_a_shape_and_a_size(files, tensor):
    """Shape and size of the files are those of the tensor that they would be."""
    assert files.shape == tuple(tensor.shape)
    assert count_bytes(files) == count_bytes(tensor) == tensor.numel()
    assert len(files) == len(tensor)


def test_batches_come_in_the_order_that_was_asked_for(files, tensor):
    """Reading ahead does not change what a batch holds."""
    parts = torch.randperm(40, generator=torch.Generator().manual_seed(0)).split(7)
    for ours, theirs, part in zip(iterate_batches(files, parts), iterate_batches(tensor, parts), parts, strict=True):
        assert torch.equal(ours, theirs)
        assert torch.equal(ours, tensor[part])


def test_batches_stay_apart(files, tensor):
    """A batch is not overwritten by the ones that are read after it."""
    parts = torch.arange(40).split(4)
    assert torch.equal(torch.cat(list(iterate_batches(files, parts))), tensor)


def test_reading_goes_a_little_ahead(files, disk):
    """With a batch at hand the next ones are read, but not all: memory would not hold them."""
    running = iterate_batches(files, torch.arange(40).split(5))
    next(running)
    files.pool.submit(int).result()
    assert len(disk.read_paths) <= 20
    next(running)
    running.close()
    assert len(disk.read_paths) <= 25


def test_files_are_read_by_other_threads(files, disk):
    """The thread that trains reads nothing itself."""
    load(files)
    assert threading.get_ident() not in disk.threads


def test_each_file_is_read_once_where_all_are_loaded(files, disk, tensor):
    """Loading reads each file once and tells how far it is."""
    told = []
    assert torch.equal(load(files, told.append), tensor)
    assert sorted(disk.read_paths, key=int) == [str(number) for number in range(40)]
    assert sum(told) == 40


def test_what_is_in_memory_is_not_loaded_again(tensor):
    """A tensor is returned as it is."""
    assert load(tensor) is tensor


def test_an_unreadable_file_ends_the_batches(files, disk):
    """The reader's error reaches whoever wants the batch."""
    paths = files.paths.copy()
    paths[11] = "broken"
    damaged = ImageFiles(paths=paths, size=5, read=disk.read, pool=files.pool)
    running = iterate_batches(damaged, torch.arange(40).split(5))
    assert next(running).shape == (5, 3, 5, 5)
    next(running)
    with pytest.raises(InputError, match="broken: not a readable image"):
        next(running)
    assert len(disk.read_paths) < 40


def test_either_storage_is_concatenated(files, tensor):
    """Two splits become one, in order; memory and files do not mix."""
    where, rest = torch.tensor([3, 1]), torch.tensor([0, 5, 9])
    both = torch.cat([tensor[where], tensor[rest]])
    assert torch.equal(load(concatenate(select(files, where), select(files, rest))), both)
    assert torch.equal(concatenate(tensor[where], tensor[rest]), both)
    with pytest.raises(TypeError, match="cannot be concatenated"):
        concatenate(files, tensor)
