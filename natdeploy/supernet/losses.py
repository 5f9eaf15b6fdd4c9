"""The losses of an epoch: one that no network has that learns ends training."""

from __future__ import annotations

import torch
from torch import Tensor

from natdeploy.errors import DivergedError

# A cross-entropy of 10,000 means that a network gives the right class a probability of exp(-10,000).
_LIMIT = 1e4


class EpochLosses:
    """The losses of the steps of an epoch.

    A GPU is not waited for: there a loss is looked at once it has been copied, at the end of the epoch at the latest.

    Args:
        epoch: Number of the epoch, from 0, for the message.
        lr: Peak learning rate, for the message.
    """

    def __init__(self, epoch: int, lr: float) -> None:
        self._epoch, self._lr = epoch, lr
        self._known: list[float] = []
        self._awaited: list[tuple[Tensor, torch.cuda.Event | None]] = []

    def add(self, loss: Tensor) -> None:
        """Add the loss of the next step.

        Raises:
            DivergedError: This loss or one before it is no finite number, or above 10,000.
        """
        if loss.device.type == "cuda":
            copy, copied = loss.to("cpu", non_blocking=True), torch.cuda.Event()
            copied.record()
            self._awaited.append((copy, copied))
        else:
            self._awaited.append((loss, None))
        self._look(wait=False)

    def mean(self) -> float:
        """Return the mean of the losses.

        Raises:
            DivergedError: A loss is no finite number, or above 10,000.
        """
        self._look(wait=True)
        return sum(self._known) / len(self._known)

    def _look(self, *, wait: bool) -> None:
        while self._awaited:
            loss, copied = self._awaited[0]
            if copied is not None:
                if not wait and not copied.query():
                    return
                copied.synchronize()
            del self._awaited[0]
            self._known.append(float(loss))
            # Not a number is not below the limit either.
            if not abs(self._known[-1]) < _LIMIT:
                step = f"step {len(self._known)} of epoch {self._epoch + 1}"
                msg = f"training has diverged: the loss of {step} is {self._known[-1]:.3g}"
                raise DivergedError(msg, hint=explain_divergence(self._lr))


def explain_divergence(lr: float) -> str:
    """Return what to do when training has diverged at a learning rate."""
    return f"train again with a lower --lr than {lr:g}; nothing of this epoch was written"
