"""Checking that an exported file computes what the network computes."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import InputError
from natdeploy.ports import Images, Session

if TYPE_CHECKING:
    from natdeploy.supernet.network import Network

_TIE = 1e-4
_LEAST_VARIATION = 10
_LEAST_EXPLAINED = 0.5
_MOST_LOST = 0.02
_CHUNK_IMAGES = 16
Outputs = NDArray[np.float32]
Labelled = tuple[Images, NDArray[np.int64]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How far the outputs of a file may differ from those of the network; None sets no limit.

    Args:
        relative_error: Errors must stay below this share of the largest absolute output, and the predicted class of
            each input must be the same, except for ties.
        cosine: The cosine similarity of each input's outputs must be above this.
        overall_cosine: The cosine similarity of the outputs of all inputs together must be above this.
    """

    relative_error: float | None = None
    cosine: float | None = None
    overall_cosine: float | None = None


LIMITS: Mapping[str, Limits] = MappingProxyType(
    {"fp32": Limits(relative_error=1e-4), "fp16": Limits(cosine=0.999), "int8": Limits(overall_cosine=0.95)}
)
# Random weights amplify rounding far more than trained ones: for an int8 file of them, similarity says nothing.
_RANDOM_INT8 = Limits()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """Comparison of the outputs of a file with those of the network.

    Figures are NaN if the outputs cannot be compared: values that are not finite, or different shapes.

    Args:
        inputs: Number of images compared.
        max_abs_error: Largest absolute difference of two logits.
        relative_error: The same, divided by the largest absolute logit of the network.
        cosine: Smallest cosine similarity over the inputs.
        top1_agreement: Share of inputs with the same predicted class, ties included, between 0 and 1.
        reason: Why the comparison failed or was not made; None if it passed.
    """

    inputs: int
    max_abs_error: float
    relative_error: float
    cosine: float
    top1_agreement: float
    reason: str | None

    @classmethod
    def not_run(cls, reason: str) -> Parity:
        """Return the outcome for a runtime that returns no outputs."""
        nan = math.nan
        return cls(inputs=0, max_abs_error=nan, relative_error=nan, cosine=nan, top1_agreement=nan, reason=reason)

    @property
    def passed(self) -> bool | None:
        """Whether the file computes what the network computes; None if nothing could be compared."""
        return self.reason is None if self.inputs else None

    def to_json(self) -> dict[str, Any]:
        """Return all fields; figures that are not finite become None."""
        fields = {**dataclasses.asdict(self), "passed": self.passed}
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in fields.items()}

    def __str__(self) -> str:
        return (
            f"max error {self.max_abs_error:.3g} ({self.relative_error:.3g} of the largest logit), "
            f"cosine {self.cosine:.7g}, top-1 agreement {self.top1_agreement:.4g} on {self.inputs} inputs"
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """Top-1 on validation images of the task, between 0 and 1.

    Args:
        images: Number of images.
        before: Top-1 of the network.
        after: Top-1 of the file.
    """

    images: int
    before: float
    after: float

    @property
    def reason(self) -> str | None:
        """Why the file is refused: it loses 2 points or more, and more than one image. None if it is good enough."""
        lost = self.before - self.after
        if lost < _MOST_LOST or round(lost * self.images) <= 1:
            return None
        return (
            f"top-1 on {self.images} validation images falls from {self.before:.4f} to {self.after:.4f}, "
            f"{100 * lost:.1f} points; it must lose less than {100 * _MOST_LOST:g}"
        )


def find_limits(precision: str, *, random_weights: bool) -> Limits:
    """Return how far the outputs of a file may differ from those of its network if top-1 is not measured."""
    return _RANDOM_INT8 if random_weights and precision == "int8" else LIMITS[precision]


def require_images(network: Network, images: Images) -> None:
    """Check that `images` can be used to compare a file with `network`.

    Raises:
        InputError: They are fewer than 2, not of the network's input size, or not finite.
    """
    size = network.input_size
    if images.ndim != 4 or images.shape[1:] != (3, size, size) or len(images) < 2:
        msg = f"parity needs at least 2 images, [n, 3, {size}, {size}], not {list(images.shape)}"
        raise InputError(msg)
    if not np.isfinite(images).all():
        msg = "parity needs images whose values are finite"
        raise InputError(msg)


def check_parity(network: Network, session: Session, images: Images, *, limits: Limits = LIMITS["fp32"]) -> Parity:
    """Compare an opened file with the network it was written from, on `n x 3 x r x r` images.

    Raises:
        InputError: The images are too few, of another size, or not finite.
    """
    require_images(network, images)
    return compare(compute_reference(network, images), session.run(images), limits=limits)


def check_accuracy(network: Network, session: Session, batches: Iterable[Labelled]) -> Accuracy:
    """Measure top-1 of the network and of an opened file that was written from it.

    Args:
        network: The network.
        session: The opened file.
        batches: At least one batch of `n x 3 x r x r` images and `n` labels.
    """
    images = before = after = 0
    for pixels, labels in batches:
        images += len(labels)
        before += int((compute_reference(network, pixels).argmax(axis=1) == labels).sum())
        after += int((session.run(pixels).argmax(axis=1) == labels).sum())
    return Accuracy(images=images, before=before / images, after=after / images)


def compute_reference(network: Network, images: Images) -> Outputs:
    """Return the `n x classes` logits of `network` in evaluation mode, without changing the network."""
    import torch

    evaluated = _copy_in_eval_mode(network)
    chunks = np.split(images, range(_CHUNK_IMAGES, len(images), _CHUNK_IMAGES))
    with torch.inference_mode():
        return np.concatenate([evaluated(torch.tensor(chunk)).numpy() for chunk in chunks])


def _copy_in_eval_mode(network: Network) -> Network:
    """Return a copy in evaluation mode on the CPU; the network itself if it is already there, since copying is slow."""
    training = any(part.training for part in network.modules())
    if training or any(values.device.type != "cpu" for values in network.parameters()):
        return copy.deepcopy(network).cpu().eval()
    return network


def explain_unfit_reference(reference: Outputs) -> str | None:
    """Return why no file can be compared with these `n x classes` outputs of a network; None if one can."""
    if not np.isfinite(reference).all():
        return "some outputs of the network are not finite"
    # A file that ignores its input would match outputs that vary by little more than the tolerance.
    if np.ptp(reference, axis=0).max() <= _LEAST_VARIATION * _TIE * np.abs(reference).max():
        return "the outputs of the network do not vary between the inputs, so nothing can be compared"
    return None


def compare(reference: Outputs, outputs: Outputs, *, limits: Limits = LIMITS["fp32"]) -> Parity:
    """Compare `n x classes` outputs of a file with those of the network.

    Args:
        reference: Outputs of the network.
        outputs: Outputs of the file.
        limits: How far they may differ.
    """
    reason = _explain_incomparable(reference, outputs)
    if reason is not None:
        nan = math.nan
        return Parity(
            inputs=len(reference), max_abs_error=nan, relative_error=nan, cosine=nan, top1_agreement=nan, reason=reason
        )
    expected, actual = reference.astype(np.float64), outputs.astype(np.float64)
    largest = np.abs(expected).max()
    error = float(np.abs(actual - expected).max())
    agreement = _top1_agreement(expected, actual, tie=(limits.relative_error or _TIE) * largest)
    cosine = _smallest_cosine(expected, actual)
    return Parity(
        inputs=len(expected),
        max_abs_error=error,
        relative_error=error / float(largest),
        cosine=cosine,
        top1_agreement=agreement,
        reason=_explain_large_error(error / float(largest), agreement, limits)
        or _explain_distance(expected, actual, limits),
    )


def _explain_incomparable(reference: Outputs, outputs: Outputs) -> str | None:
    if reference.shape != outputs.shape:
        return f"the outputs of the file have shape {list(outputs.shape)}, those of the network {list(reference.shape)}"
    reason = explain_unfit_reference(reference)
    if reason is None and not np.isfinite(outputs).all():
        return "some outputs of the file are not finite"
    return reason


def _explain_large_error(relative_error: float, agreement: float, limits: Limits) -> str | None:
    limit = limits.relative_error
    if limit is None:
        return None
    if relative_error >= limit:
        return f"the largest error is {relative_error:.3g} of the largest logit, the limit is {limit:g}"
    if agreement < 1:
        return f"the predicted class is the same for only {agreement:.1%} of the inputs"
    return None


def _explain_distance(expected: NDArray[np.float64], actual: NDArray[np.float64], limits: Limits) -> str | None:
    whole = limits.cosine is None
    limit, similarity = (limits.overall_cosine, _overall_cosine) if whole else (limits.cosine, _smallest_cosine)
    if limit is None:
        return None
    cosine = similarity(expected, actual)
    if cosine <= limit:
        what = "cosine similarity of all outputs together" if whole else "smallest cosine similarity"
        return f"the {what} is {cosine:.4g}, it must be above {limit:g}"
    # If all outputs are alike, a file that ignores its input has similar ones. Such a file must not pass.
    constant = np.broadcast_to(expected.mean(axis=0), expected.shape)
    if similarity(expected, constant) <= limit:
        return None
    left = float(((actual - expected) ** 2).sum() / ((constant - expected) ** 2).sum())
    if left > 1 - _LEAST_EXPLAINED:
        return f"the errors are {left:.0%} of the variance of the outputs between inputs"
    return None


def _overall_cosine(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> float:
    return _smallest_cosine(expected.reshape(1, -1), actual.reshape(1, -1))


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
