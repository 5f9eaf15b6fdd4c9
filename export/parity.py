"""Whether an exported file computes what the network computes."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from natdeploy.errors import InputError
from natdeploy.ports import Images, Session
from natdeploy.supernet.network import Network

FP32_TOLERANCE = 1e-4
_LEAST_VARIATION = 10
_CHUNK_IMAGES = 16
Outputs = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """Comparison of a file's outputs with the network's.

    Figures are NaN where the outputs cannot be compared: not finite, or of different shapes.

    Args:
        inputs: Images compared.
        max_abs_error: Largest absolute difference of two logits.
        relative_error: The same, relative to the largest absolute logit of the network.
        cosine: Smallest cosine similarity over the inputs.
        top1_agreement: Share of inputs whose largest logit has the same place, ties included, between 0 and 1.
        reason: Why the comparison failed; None where it passed.
    """

    inputs: int
    max_abs_error: float
    relative_error: float
    cosine: float
    top1_agreement: float
    reason: str | None

    @property
    def passed(self) -> bool:
        """Whether the file computes what the network computes."""
        return self.reason is None

    def to_json(self) -> dict[str, Any]:
        """Return all fields, figures that are not finite as None."""
        fields = {**dataclasses.asdict(self), "passed": self.passed}
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in fields.items()}

    def __str__(self) -> str:
        return (
            f"max error {self.max_abs_error:.3g} ({self.relative_error:.3g} of the largest logit), "
            f"cosine {self.cosine:.7g}, top-1 agreement {self.top1_agreement:.4g} on {self.inputs} inputs"
        )


def require_images(network: Network, images: Images) -> None:
    """Check that `images` are what a comparison with `network` needs.

    Raises:
        InputError: They are fewer than 2, not of the network's input size, or not finite.
    """
    size = network.input_size
    if images.ndim != 4 or images.shape[1:] != (3, size, size) or len(images) < 2:
        msg = f"parity needs at least 2 images, [n, 3, {size}, {size}], not {list(images.shape)}"
        raise InputError(msg)
    if not np.isfinite(images).all():
        msg = "parity needs images of finite numbers"
        raise InputError(msg)


def check_parity(network: Network, session: Session, images: Images) -> Parity:
    """Compare an opened file with the network that it was written from, on `n x 3 x r x r` images.

    Raises:
        InputError: The images are too few, of another size, or not finite.
    """
    require_images(network, images)
    return compare(reference_outputs(network, images), session.run(images))


def reference_outputs(network: Network, images: Images) -> Outputs:
    """Return the `n x classes` logits that `network` gives in evaluation mode; the network stays as it is."""
    evaluated = copy.deepcopy(network).cpu().eval()
    chunks = np.split(images, range(_CHUNK_IMAGES, len(images), _CHUNK_IMAGES))
    with torch.inference_mode():
        return np.concatenate([evaluated(torch.tensor(chunk)).numpy() for chunk in chunks])


def compare(reference: Outputs, outputs: Outputs, *, tolerance: float = FP32_TOLERANCE) -> Parity:
    """Compare `n x classes` outputs of a file with the network's.

    Args:
        reference: Outputs of the network.
        outputs: Outputs of the file.
        tolerance: Errors must stay under this share of the network's largest absolute logit.
    """
    reason = _incomparable(reference, outputs, tolerance)
    if reason is not None:
        nan = math.nan
        return Parity(
            inputs=len(reference), max_abs_error=nan, relative_error=nan, cosine=nan, top1_agreement=nan, reason=reason
        )
    expected, actual = reference.astype(np.float64), outputs.astype(np.float64)
    largest = np.abs(expected).max()
    error = float(np.abs(actual - expected).max())
    agreement = _top1_agreement(expected, actual, tie=tolerance * largest)
    return Parity(
        inputs=len(expected),
        max_abs_error=error,
        relative_error=error / float(largest),
        cosine=_smallest_cosine(expected, actual),
        top1_agreement=agreement,
        reason=_difference(error / float(largest), agreement, tolerance),
    )


def _incomparable(reference: Outputs, outputs: Outputs, tolerance: float) -> str | None:
    if reference.shape != outputs.shape:
        return f"the file gives outputs of shape {list(outputs.shape)}, the network {list(reference.shape)}"
    for whose, values in (("network", reference), ("file", outputs)):
        if not np.isfinite(values).all():
            return f"the outputs of the {whose} are not all finite numbers"
    # outputs that vary by little more than the tolerance could be matched by a file that ignores its input
    if np.ptp(reference, axis=0).max() <= _LEAST_VARIATION * tolerance * np.abs(reference).max():
        return "the outputs of the network do not vary between the inputs, so that nothing can be compared"
    return None


def _difference(relative_error: float, agreement: float, tolerance: float) -> str | None:
    if relative_error >= tolerance:
        return f"the largest error is {relative_error:.3g} of the largest logit, the limit is {tolerance:g}"
    if agreement < 1:
        return f"the largest logit has the same place for {agreement:.1%} of the inputs only"
    return None


def _top1_agreement(expected: NDArray[np.float64], actual: NDArray[np.float64], *, tie: float) -> float:
    rows = np.arange(len(expected))
    behind = expected.max(axis=1) - expected[rows, actual.argmax(axis=1)]
    return float(((behind == 0) | (behind < tie)).mean())


def _smallest_cosine(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> float:
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(actual, axis=1)
    products = (expected * actual).sum(axis=1)
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    cosines[np.all(expected == actual, axis=1)] = 1.0
    return float(cosines.min())
