"""The look that all figures of the documentation share: a white card, colours that colour-blind readers tell apart."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

# Okabe and Ito's palette.
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
INK, MUTED = "#1b1f24", "#8b949e"


def use_style() -> None:
    """Set matplotlib so that the same figure is the same file, and its text stays text."""
    mpl.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "natdeploy",
            "font.size": 12,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": MUTED,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "xtick.color": INK,
            "ytick.color": INK,
            "legend.frameon": False,
        }
    )


def save(figure: Figure, path: Path) -> None:
    """Write a figure, without a date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)
