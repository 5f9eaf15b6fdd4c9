"""Training with CUDA graphs: a stand-in on the CPU, which notes every operation and does it again."""

import contextlib

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from natdeploy.supernet.graphs import GraphedWork
from natdeploy.supernet.recipe import Recipe
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.training import ElasticTrainer
from tests.support.shared_training import SPACE, made_task


class Graph:
    """As `torch.cuda.CUDAGraph`: replaying writes results into the memory that they had when they were recorded."""

    def __init__(self):
        self.operations = []
        self.replayed = 0

    def replay(self):
        """Do everything again."""
        self.replayed += 1
        with torch.no_grad():
            for function, args, kwargs, results in self.operations:
                again = function(*args, **kwargs)
                for result, new in zip(tree_leaves(results), tree_leaves(again), strict=True):
                    if isinstance(result, torch.Tensor):
                        result.copy_(new)


class Recording(TorchDispatchMode):
    """As `torch.cuda.graph`: nothing that is recorded has happened afterwards."""

    def __init__(self, graph, *, pool, stream):
        super().__init__()
        assert (pool, stream) == ("pool", "stream of its own")
        self.graph = graph
        self.before = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for given, argument in zip(args, function._schema.arguments, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write and isinstance(given, torch.Tensor):
                self.before.append((given, given.clone()))
        # Statistics of BatchNorm, which its schema does not call written.
        if "batch_norm" in str(function):
            self.before += [(given, given.clone()) for given in args[3:5] if isinstance(given, torch.Tensor)]
        results = function(*args, **kwargs)
        self.graph.operations.append((function, args, kwargs, results))
        return results

    def __exit__(self, *raised):
        super().__exit__(*raised)
        with torch.no_grad():
            for tensor, value in reversed(self.before):
                tensor.copy_(value)


class Stream:
    """As `torch.cuda.Stream`."""

    def __eq__(self, other):
        return other == "stream of its own"

    __hash__ = None

    def wait_stream(self, stream):
        """Wait for nothing."""
        assert isinstance(stream, Stream)


@pytest.fixture
def _graphs(monkeypatch):
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Recording)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")


def trained(recipe, *, graphs):
    """Return the trainer after two epochs, the first of which is plain, and their losses."""
    trainer = ElasticTrainer(
        Supernet(SPACE, 3, seed=1), made_task(), recipe, total_epochs=2, largest_only_epochs=1, seed=2
    )
    trainer._graphs = GraphedWork(trainer.supernet) if graphs else None
    return trainer, [trainer.train_epoch(number, None) for number in range(2)]


@pytest.mark.usefixtures("_graphs")
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(batch_size=9, lr=1e-3, sandwich=True, ema_decay=0.9),
        Recipe(batch_size=9, lr=1e-3, sandwich=True, distillation=False, cutmix=0.5),
        Recipe(batch_size=9, lr=1e-3, hard_label_weight=0.5),
        Recipe(batch_size=9, lr=1e-3, distillation=False),
    ],
    ids=["sandwich", "labels alone, mixed", "distilled", "labels alone"],
)
def test_graphs_change_nothing(recipe):
    """Weights, statistics and losses are those of training without graphs, which are used wherever they can be."""
    graphed, losses = trained(recipe, graphs=True)
    usual, usual_losses = trained(recipe, graphs=False)
    assert losses == pytest.approx(usual_losses, rel=1e-4)
    began = Supernet(SPACE, 3, seed=1)
    for what in ("parameters", "buffers"):
        found, expected, before = (
            torch.cat([tensor.detach().flatten().double() for tensor in getattr(supernet, what)()])
            for supernet in (graphed.supernet, usual.supernet, began)
        )
        assert (found - expected).norm() < 1e-3 * (expected - before).norm(), what
    recordings = graphed._graphs._recordings.values()
    steps = 4 if recipe.distillation or recipe.sandwich else 0
    assert sum(recording.graph.replayed for recording in recordings) == 4 + steps
    assert any(recording.graph.replayed > 1 for recording in recordings)
