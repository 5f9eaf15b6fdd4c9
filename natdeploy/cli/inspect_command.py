"""`natdeploy inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.output import print_line, print_table

if TYPE_CHECKING:
    from natdeploy.api import Context, InspectResult, SubnetSource


@click.command("inspect", cls=Command)
@click.argument("subnet", type=click.Path(path_type=Path))
@options.subnet_options
@options.own_weights_option
@options.json_option
def command(
    subnet: SubnetSource,
    json: bool,  # noqa: FBT001
) -> None:
    """Show the layers of SUBNET with their multiply-adds and parameters."""

    def work(context: Context) -> InspectResult:  # noqa: ARG001
        from natdeploy import api

        return api.inspect(subnet)

    options.run_command(work, show, as_json=json)


def show(result: InspectResult) -> None:
    """Print a subnet as text."""
    choice = result.architecture
    if choice is None:
        print_line(f"of no search space: r {result.layers[0].in_size}, {result.classes} classes")
    else:
        print_line(f"{result.supernet}: r {choice['r']}, w {choice['w']:g}, d {choice['d']}, {result.classes} classes")
    print_line(f"encoding: {result.encoding or '-'}; weights: {result.weights or 'none'}")
    rows = [
        [layer.name, f"{layer.madds / 1e6:.3f}", f"{layer.params / 1e3:.1f}", layer.description]
        for layer in result.layers
    ]
    print_table(["layer", "MAdds (M)", "params (k)", "what"], rows)
    print_line(
        f"{result.madds / 1e6:.2f} M MAdds, {result.params / 1e6:.3f} M params, "
        f"{result.peak_memory_bytes / 1e6:.2f} MB peak activation memory"
    )
