"""The packaged weights of `lite` as a classifier, by exported files."""

import importlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from natdeploy import api

classifier = importlib.import_module("benchmarks.imagenet_classifier")
# EfficientNet-Lite0 itself has 0.793.
LARGEST, RANDOM_SHARE, SMALLEST_SHARE = 0.793 - 0.03, 0.8, 0.6


@pytest.mark.slow
def test_subnets_of_lite_classify_photographs(shared_data: Path, tmp_path: Path) -> None:
    """The largest is near EfficientNet-Lite0, which has 0.79; random ones and the smallest keep their shares of it."""
    with zipfile.ZipFile(shared_data / "images" / "nips17-160.zip") as archive:
        archive.extractall(tmp_path / "photographs")
    photographs = classifier.Photographs.read(tmp_path / "photographs", 160)
    random = api.sample(classifier.SPACE, 20, np.random.default_rng(0))
    top1 = [
        classifier.measure_subnet(architecture, photographs, tmp_path, None)[-1]
        for architecture in (api.largest(classifier.SPACE), api.smallest(classifier.SPACE), *random)
    ]
    assert top1[0] > LARGEST
    assert np.mean(top1[2:]) > RANDOM_SHARE * top1[0]
    assert top1[1] > SMALLEST_SHARE * top1[0]
