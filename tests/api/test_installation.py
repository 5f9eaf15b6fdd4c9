"""What `doctor` says of GPUs."""

import pytest

from natdeploy import api
from natdeploy.api import installation


@pytest.mark.parametrize(
    ("names", "cuda", "state", "detail"),
    [
        (["NVIDIA H200"], "13.0", "ok", "NVIDIA H200"),
        (["NVIDIA H200"], None, "missing", "NVIDIA H200, but the installed torch is a build without CUDA"),
        ([], "13.0", "missing", "none: everything runs on the CPU"),
    ],
)
def test_doctor_names_the_gpu_and_says_whether_torch_can_use_it(monkeypatch, names, cuda, state, detail):
    """A GPU is named; one that the installed torch cannot use, and none at all, are said to be missing."""
    monkeypatch.setattr(installation, "list_gpus", lambda: names)
    monkeypatch.setattr(installation, "_read_cuda_version", lambda: cuda)
    (found,) = [finding for finding in api.doctor() if finding.what == "GPU"]
    assert (found.state, found.detail) == (state, detail)


def test_cuda_version_is_that_of_torch():
    """The version that is read without importing torch is the one that torch itself gives."""
    import torch

    assert installation._read_cuda_version() == torch.version.cuda
