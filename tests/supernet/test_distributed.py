"""Several processes that train one supernet."""

from pathlib import Path

import pytest
import torch

from natdeploy.errors import InputError
from natdeploy.supernet.data import iterate_train_batches
from natdeploy.supernet.distributed import ProcessGroup, join_process_group
from natdeploy.supernet.recipe import Recipe
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.training import ElasticTrainer
from tests.support import shared_training
from tests.support.shared_training import SPACE, made_task
from tests.support.torchrun import torchrun


def test_shares_of_a_batch_are_the_batch() -> None:
    """What three processes draw from equal generators is, put together, what one draws alone: images and labels."""

    def drawn(rank: int, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        group, generator = ProcessGroup(rank=rank, world_size=count), torch.Generator().manual_seed(3)
        return list(iterate_train_batches(made_task(), Recipe(batch_size=12), [32, 40], generator, group=group))

    shares = [drawn(rank, 3) for rank in range(3)]
    for number, (images, labels) in enumerate(drawn(0, 1)):
        for rank in range(3):
            assert torch.equal(shares[rank][number][0], images[rank::3])
            assert torch.equal(shares[rank][number][1], labels[rank::3])


@pytest.mark.parametrize(("count", "batch"), [(3, 8), (8, 8), (2, 40)])
def test_a_batch_that_cannot_be_shared_is_refused(count: int, batch: int) -> None:
    """Unequal shares, shares of one image, and batches that the images do not fill would change the result."""
    with pytest.raises(InputError, match=f"{count} processes cannot share batches of {batch} of 36 images"):
        ElasticTrainer(
            Supernet(SPACE, 3),
            made_task(),
            Recipe(batch_size=batch),
            total_epochs=1,
            largest_only_epochs=0,
            seed=0,
            group=ProcessGroup(world_size=count),
        )


def test_one_process_is_a_group_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torchrun, or with one process of it, nothing is joined, whatever else the environment says."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with join_process_group() as group:
        assert (group.rank, group.world_size, group.is_main) == (0, 1, True)
        assert group.average(2.0) == 2.0
        assert group.gather_interleaved([1.0, 2.0], 2) == [1.0, 2.0]
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with join_process_group() as group:
        assert group == ProcessGroup()


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    """With fixed BatchNorm statistics, two processes end in the weights of one at the same global batch.

    Both processes hold the same weights to the last bit.
    """
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    losses = shared_training.train(tmp_path / "one")
    process = torchrun(shared_training.__file__, str(tmp_path / "two"), cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    alone = torch.load(tmp_path / "one" / "0.pt")
    first, second = (torch.load(tmp_path / "two" / f"{rank}.pt") for rank in (0, 1))
    assert (first.pop("rank"), second.pop("rank"), alone.pop("rank")) == (0, 1, 0)
    assert first.pop("losses") == second.pop("losses") == pytest.approx(losses, rel=1e-4)
    start = Supernet(SPACE, 3, seed=1).state_dict()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
        torch.testing.assert_close(tensor, alone[name], rtol=1e-4, atol=1e-5)
    moved = max(float((first[name] - start[name]).abs().max()) for name in start if start[name].is_floating_point())
    assert moved > 1e-2
