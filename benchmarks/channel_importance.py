"""How much of a pretrained network is left if every block has two thirds of its channels, by the order of the channels.

EfficientNet-Lite0, expand ratio 4 everywhere, no training. Half of the pictures measure importance
and BatchNorm statistics, the other half how often the narrow network and the whole one agree on the class.

Run: python benchmarks/channel_importance.py FOLDER [PICTURES]
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from natdeploy.core.architecture import largest
from natdeploy.io.datasets import load_pictures
from natdeploy.io.pretrained_networks import find_pretrained_network
from natdeploy.io.spaces import find_space
from natdeploy.supernet import importance
from natdeploy.supernet.batchnorm import recalibrate
from natdeploy.supernet.checkpoints import read_state
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.elastic import ElasticNetwork
from natdeploy.supernet.network import ConvUnit
from natdeploy.supernet.pretrained import find_layout, load_pretrained

RESOLUTION, BATCH, PICTURES = 128, 64, 1000
LITE = find_space("lite").with_resolutions((RESOLUTION,))
# The packaged space does not let every block be as narrow.
SPACE = dataclasses.replace(
    LITE,
    stages=tuple(
        dataclasses.replace(stage, expand_ratios=tuple((4, 6) for _ in stage.expand_ratios)) for stage in LITE.stages
    ),
)
TOP = largest(SPACE)
NARROW = dataclasses.replace(TOP, expand_ratios=tuple(4 for _ in TOP.expand_ratios))


def main(folder: str, count: int) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    state = read_state(find_pretrained_network("efficientnet-lite0").path)
    layout = find_layout(state, "efficientnet-lite0")
    task = load_pictures(
        Path(folder), RESOLUTION, classes=["any"], normalization=(layout.mean, layout.std), memory_bytes=0
    )
    chosen = torch.randperm(len(task.train), generator=torch.Generator().manual_seed(0))[:count]
    known, new = (task.train.select(half).load() for half in chosen.chunk(2))
    whole = make_network(state)
    expected = classify(whole.extract(TOP).eval(), task, new)
    print(f"{len(known)} and {len(new)} pictures at {RESOLUTION} pixels; expand ratio 4 everywhere, no training")
    print("order of the channels                       agreement")
    for name, measure in MEASURES.items():
        engine = make_network(state)
        if measure is not None:
            importance._compute_importance = measure
            importance.order_channels(engine, TOP, prepare(task, known))
        narrow = engine.extract(NARROW)
        recalibrate(narrow, prepare(task, known))
        agreement = float((classify(narrow.eval(), task, new) == expected).double().mean())
        print(f"{name:<44}{agreement:>9.3f}", flush=True)


def make_network(state: dict[str, Tensor]) -> ElasticNetwork:
    """Return the elastic network whose largest architecture is the pretrained network."""
    network = ElasticNetwork(SPACE, 1.0, 1000).eval()
    load_pretrained(network, state, "efficientnet-lite0")
    return network


def prepare(task: Task, images: ImageSet) -> list[Tensor]:
    """Return prepared batches."""
    parts = torch.arange(len(images)).split(BATCH)
    return [batch for batch, _ in task.iterate_batches(images, parts, RESOLUTION)]


def classify(network: torch.nn.Module, task: Task, images: ImageSet) -> Tensor:
    """Return the class of each picture."""
    with torch.inference_mode():
        return torch.cat([network(batch).argmax(dim=1) for batch in prepare(task, images)])


def by_weights(project: ConvUnit, variance: Tensor) -> Tensor:  # noqa: ARG001
    """Return the sum of the absolute weights of the projection of each channel."""
    return project.conv.weight[:, :, 0, 0].abs().sum(dim=0)


def by_variance_alone(project: ConvUnit, variance: Tensor) -> Tensor:  # noqa: ARG001
    """Return the variance of each channel."""
    return variance


MEASURES: dict[str, Callable[[ConvUnit, Tensor], Tensor] | None] = {
    "as in the pretrained network": None,
    "absolute weights of the projection": by_weights,
    "variance of the activation": by_variance_alone,
    "both, as natdeploy orders them": importance._compute_importance,
}

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else PICTURES)
