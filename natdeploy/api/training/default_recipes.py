"""The recipes that `adapt` and `pretrain` use by default. Imports nothing heavy."""

from __future__ import annotations

from natdeploy.supernet.recipe import Recipe

__all__ = ["ADAPTATION", "PRETRAINING", "Recipe"]

ADAPTATION = Recipe(lr=0.1)
"""Default recipe of `adapt`."""

PRETRAINING = Recipe(batch_size=128, lr=0.2, weight_decay=5e-5, sandwich=True, ema_decay=0.998)
"""Default recipe of `pretrain`."""
