"""Saying that memory ran out."""

import subprocess
import sys

import pytest
import torch

from natdeploy.errors import InputError, MemoryShortageError
from natdeploy.supernet.memory import translate_oom


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("std::bad_alloc"),
        MemoryError("Unable to allocate 9 GiB"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_way_to_run_out_is_said_alike(error: Exception) -> None:
    """The error of torch, what its allocators say in plain ones, and Python's own become one sentence with a hint."""
    with pytest.raises(MemoryShortageError, match="of memory in a step") as told, translate_oom("in a step", hint="h"):
        raise error
    assert told.value.hint == "h"
    assert told.value.__cause__ is error


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), InputError("bad"), MemoryShortageError("said")])
def test_other_errors_pass(error: Exception) -> None:
    """What has nothing to do with memory, or has been said, is left as it is."""
    with pytest.raises(type(error)) as passed, translate_oom("in a step", hint="h"):
        raise error
    assert passed.value is error


def test_torch_on_this_machine_is_understood() -> None:
    """A tensor that the process may not have is told, by the words that torch of today has for it."""
    code = (
        "import resource, torch\n"
        "from natdeploy.supernet.memory import translate_oom\n"
        "resource.setrlimit(resource.RLIMIT_AS, (64 << 30, 64 << 30))\n"
        "with translate_oom('in a step', hint='try --batch-size 4'):\n"
        "    torch.empty(1 << 40)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MemoryShortageError: out of memory in a step" in process.stderr
