"""A supernet: one elastic network for each width of its space."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from natdeploy.core.architecture import Architecture
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.supernet.checkpoints import read_state
from natdeploy.supernet.elastic import STATISTICS, ElasticBlock, ElasticNetwork
from natdeploy.supernet.initialize import initialize
from natdeploy.supernet.network import Network
from natdeploy.supernet.released_names import to_own_names


class Supernet(nn.Module):
    """The weights of every architecture of `space`, with a classifier for `classes`.

    Widths share no weights: each has its own elastic network, as in NAT. The initial weights are random.

    Args:
        space: Search space.
        classes: Number of outputs of the classifier.
        seed: Seed of the initial weights.
    """

    def __init__(self, space: SearchSpace, classes: int, *, seed: int = 0) -> None:
        super().__init__()
        self.space, self.classes = space, classes
        generator = torch.Generator().manual_seed(seed)
        self.engines = nn.ModuleDict()
        for width in space.widths:
            engine = ElasticNetwork(space, width, classes)
            initialize(engine, generator)
            self.engines[_key(width)] = engine
        self.to(memory_format=torch.channels_last)

    def engine(self, width: float) -> ElasticNetwork:
        """Return the elastic network of `width`.

        Raises:
            InputError: The space has no such width.
        """
        engine = self.engines[_key(self.space.widths[self.space.width_index(width)])]
        assert isinstance(engine, ElasticNetwork)
        return engine

    @property
    def has_statistics(self) -> bool:
        """Whether each choice has BatchNorm statistics of its own, so that subnets need no recalibration."""
        return any(block.statistics for block in self._elastic_blocks)

    def keep_statistics(self) -> None:
        """Give each choice BatchNorm statistics of its own."""
        for block in self._elastic_blocks:
            block.keep_statistics()

    def drop_statistics(self) -> None:
        """Remove the statistics of choices."""
        for block in self._elastic_blocks:
            block.statistics.clear()

    @property
    def _elastic_blocks(self) -> list[ElasticBlock]:
        return [block for width in self.space.widths for block in self.engine(width).elastic_blocks]

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """Map `n x 3 x r x r` images to the `n x classes` logits of `architecture`."""
        logits: Tensor = self.engine(architecture.width)(x, architecture)
        return logits

    def extract(self, architecture: Architecture) -> Network:
        """Return a plain network with a copy of the weights of `architecture`."""
        return self.engine(architecture.width).extract(architecture)

    def load_weights(self, path: Path, width: float | None = None) -> bool:
        """Load a weight file: natdeploy's own for all widths, or a released OFA checkpoint for one.

        Args:
            path: The file.
            width: Width of a file that contains one width. Not needed if the space has only one.

        Returns:
            Whether the classifier was loaded. A classifier for another number of classes is not.

        Raises:
            InputError: The file is damaged or does not fit. The message lists unexpected and missing names.
        """
        state = read_state(path)
        own = [name for name in state if name.startswith("engines.")]
        self.drop_statistics()
        if own:
            if any(STATISTICS in name for name in own):
                self.keep_statistics()
            return self._load(self, state, path)
        if width is None and len(self.space.widths) > 1:
            msg = f"{path}: holds the weights of one width; space {self.space.name} has several"
            raise InputError(msg, hint="name the width with --width, or search a supernet of one width")
        return self._load(self.engine(self.space.widths[0] if width is None else width), state, path)

    def _load(self, module: nn.Module, state: dict[str, Tensor], path: Path) -> bool:
        expected = module.state_dict()
        renamed = state if module is self else to_own_names(state, expected, str(path))
        if module is self and set(renamed) != set(expected):
            odd = sorted(set(renamed) ^ set(expected))
            msg = (
                f"{path}: the weights do not fit supernet {self.space.name}; left over or missing: {', '.join(odd[:5])}"
            )
            raise InputError(msg)
        fitting = {name: tensor for name, tensor in renamed.items() if tensor.shape == expected[name].shape}
        wrong = [name for name in renamed if name not in fitting and ".classifier." not in f".{name}"]
        if wrong:
            shapes = f"{tuple(renamed[wrong[0]].shape)}, not {tuple(expected[wrong[0]].shape)}"
            msg = f"{path}: the weights do not fit supernet {self.space.name}; {wrong[0]} is {shapes}"
            raise InputError(msg)
        module.load_state_dict(fitting, strict=False)
        return len(fitting) == len(renamed)


def _key(width: float) -> str:
    assert math.isfinite(width)
    return f"w{width:g}".replace(".", "_")
