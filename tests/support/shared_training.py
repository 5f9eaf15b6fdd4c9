"""A short training that one process does alone, or several that torchrun starts do together: `train(OUTPUT)`.

BatchNorm keeps its first statistics, which is all that shares of a batch would change: the rest must be the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from natdeploy.io.spaces import find_space
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.distributed import join_process_group
from natdeploy.supernet.recipe import Recipe
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.training import ElasticTrainer

SPACE = find_space("starter").with_resolutions((32, 40))
EPOCHS = 2


def made_task() -> Task:
    """Return a task of noise."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (36, 3, 32, 32)).astype(np.uint8))
    whole = ImageSet(images=images, labels=torch.arange(36) % 3)
    return Task(
        name="noise",
        classes=("a", "b", "c"),
        mean=(0.5,) * 3,
        std=(0.3,) * 3,
        flip=True,
        train=whole,
        validation=whole,
        test=whole,
    )


def train(output: Path, *, batch_size: int = 8) -> list[float]:
    """Train two epochs, write the weights, and return the losses."""
    torch.set_num_threads(1)
    with join_process_group() as group:
        supernet = Supernet(SPACE, 3, seed=1).eval()
        supernet.train = lambda mode=True: supernet  # type: ignore[method-assign, assignment]
        recipe = Recipe(batch_size=batch_size, lr=0.05, ema_decay=0.9)
        trainer = ElasticTrainer(
            supernet, made_task(), recipe, total_epochs=EPOCHS, largest_only_epochs=1, seed=2, group=group
        )
        losses = [trainer.train_epoch(number, None) for number in range(EPOCHS)]
        trainer.use_average()
        torch.save({"losses": losses, "rank": group.rank, **supernet.state_dict()}, output / f"{group.rank}.pt")
    return losses


if __name__ == "__main__":
    train(Path(sys.argv[1]))
