"""Draws the two diagrams of the documentation: the way from a device to a file, and the loop of the search.

Run: python benchmarks/diagrams.py [FOLDER]   (default: docs/figures)
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from figure_style import BLUE, GREEN, INK, MUTED, ORANGE, save, use_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

WIDTH, HEIGHT = 680, 420


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A box with its text: the first line is bold.

    Args:
        x: Horizontal centre, in points.
        y: Vertical centre, in points.
        lines: Text.
        colour: Colour of the frame.
        filled: Whether the box is filled with the colour, and its text white.
        width: Width, in points.
        height: Height, in points.
    """

    x: float
    y: float
    lines: tuple[str, ...]
    colour: str = MUTED
    filled: bool = False
    width: float = 180
    height: float = 66

    @property
    def left(self) -> tuple[float, float]:
        """The middle of the left side."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> tuple[float, float]:
        """The middle of the right side."""
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> tuple[float, float]:
        """The middle of the upper side."""
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> tuple[float, float]:
        """The middle of the lower side."""
        return self.x, self.y - self.height / 2


def draw_flow() -> Figure:
    """Draw what the three commands take and write."""
    columns = (105, 340, 575)
    texts = (
        (
            ("device", "laptop, board, phone"),
            ("images, target", "your classes, 20 ms"),
            ("images, device", "to check, to measure"),
        ),
        (
            ("natdeploy profile", "measures every layer"),
            ("natdeploy search", "adapts and searches"),
            ("natdeploy export", "converts and checks"),
        ),
        (
            ("latency table", "ms a layer, its error"),
            ("subnet.json", "the choice, its weights"),
            ("checked file", ".onnx .tflite .engine"),
        ),
    )
    looks = ((370, MUTED, False), (225, BLUE, True), (70, GREEN, False))
    inputs, commands, files = (
        [Box(x=x, y=y, lines=lines, colour=colour, filled=filled) for x, lines in zip(columns, row, strict=True)]
        for row, (y, colour, filled) in zip(texts, looks, strict=True)
    )
    figure, axes = _canvas()
    for box in (*inputs, *commands, *files):
        _draw_box(axes, box)
    for given, command, written in zip(inputs, commands, files, strict=True):
        _draw_arrow(axes, given.bottom, command.top)
        _draw_arrow(axes, command.bottom, written.top)
    for written, command in zip(files[:-1], commands[1:], strict=True):
        between = (written.right[0] + command.left[0]) / 2
        _draw_arrow(axes, written.right, (between, written.y), (between, command.y), command.left)
    return figure


def draw_loop() -> Figure:
    """Draw the steps of a Neural Architecture Transfer search."""
    left, right = 150, 530
    steps = [
        Box(x=left, y=250, lines=("1  evaluate", "top-1 with shared weights,", "latency from the table"), colour=BLUE),
        Box(x=right, y=250, lines=("2  fit the predictor", "from genotype to top-1,", "on the archive"), colour=BLUE),
        Box(
            x=right, y=65, lines=("3  evolve", "predicted top-1 against costs,", "evaluate the candidates"), colour=BLUE
        ),
        Box(x=left, y=65, lines=("4  adapt", "train subnets drawn like the", "best of the archive"), colour=ORANGE),
    ]
    steps = [dataclasses.replace(step, width=250, height=88) for step in steps]
    warm_up = Box(x=115, y=380, lines=("warm up", "train the supernet"))
    choice = Box(x=right, y=380, lines=("choose", "best top-1 within the target"), colour=GREEN, width=250)
    figure, axes = _canvas()
    for box in (*steps, warm_up, choice):
        _draw_box(axes, box)
    evaluate, fit, evolve, adapt = steps
    _draw_arrow(axes, warm_up.bottom, (warm_up.x, evaluate.top[1]))
    _draw_arrow(axes, evaluate.right, fit.left)
    _draw_arrow(axes, fit.bottom, evolve.top)
    _draw_arrow(axes, evolve.left, adapt.right)
    _draw_arrow(axes, adapt.top, evaluate.bottom)
    _draw_arrow(axes, (245, evaluate.top[1]), (245, choice.y), choice.left)
    axes.text(325, choice.y + 12, "at the end", ha="center", size=13.5)
    axes.text(340, 167, "each iteration", ha="center", va="center", size=16, weight="bold")
    axes.text(340, 146, "archive and front grow", ha="center", va="center", size=13.5)
    return figure


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.axis("off")
    return figure, axes


def _draw_box(axes: Axes, box: Box) -> None:
    corner = (box.x - box.width / 2, box.y - box.height / 2)
    axes.add_patch(
        FancyBboxPatch(
            corner,
            box.width,
            box.height,
            boxstyle="round,pad=0,rounding_size=8",
            facecolor=box.colour if box.filled else "white",
            edgecolor=box.colour,
            linewidth=2,
        )
    )
    ink = "white" if box.filled else INK
    step = 21
    first = box.y + step * (len(box.lines) - 1) / 2
    for number, line in enumerate(box.lines):
        weight, size = ("bold", 16) if number == 0 else ("normal", 13.5)
        axes.text(box.x, first - step * number, line, ha="center", va="center", color=ink, weight=weight, size=size)


def _draw_arrow(axes: Axes, *points: tuple[float, float]) -> None:
    """Draw a line through the points with an arrowhead at the last."""
    *corners, end = points
    axes.plot(*zip(*corners, strict=True), color=INK, linewidth=1.8, solid_joinstyle="miter")
    head = {"arrowstyle": "-|>,head_width=0.35,head_length=0.7", "color": INK, "linewidth": 1.8}
    axes.annotate("", xy=end, xytext=corners[-1], arrowprops={**head, "shrinkA": 0, "shrinkB": 2})


def main() -> None:
    """Write both diagrams."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/figures")
    use_style()
    save(draw_flow(), folder / "flow.svg")
    save(draw_loop(), folder / "nat.svg")


if __name__ == "__main__":
    main()
