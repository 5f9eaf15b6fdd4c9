"""The group of commands; each is imported when it is used, so that --help is quick."""

from __future__ import annotations

import importlib

import click

from natdeploy.cli.config import option_defaults
from natdeploy.errors import did_you_mean
from natdeploy.version import __version__

COMMANDS = {
    "profile": "Measure a device: build its per-layer latency table.",
    "search": "Adapt a supernet to a task and search it under a latency target.",
    "export": "Write a subnet as a checked ONNX, TFLite or TensorRT file.",
    "inspect": "Show the layers and costs of a subnet.",
    "extract": "Take a subnet out of a supernet or a finished run.",
    "predict": "Predict the latency of a subnet by a device's table.",
    "measure": "Really run a subnet or an exported file and time it.",
    "devices": "List the known devices and their state.",
    "tables": "Work with latency tables.",
    "report": "Write the report of a finished run again.",
    "pretrain": "Train a supernet from nothing.",
    "adapt": "Train a supernet on a task, without searching.",
    "demo": "Run the main job on bundled data.",
    "doctor": "Show what is installed, reachable and broken.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"natdeploy.cli.{cmd_name}_command")
        command: click.Command = module.command
        if ctx.default_map:
            ctx.default_map[cmd_name] = option_defaults(command, cmd_name, ctx.default_map.get(cmd_name, {}))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            hint = did_you_mean(args[0], COMMANDS)
            msg = f"No such command {args[0]!r}" + (f"; {hint}" if hint else "")
            raise click.UsageError(msg, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"auto_envvar_prefix": "NATDEPLOY", "show_default": True})
@click.version_option(__version__, prog_name="natdeploy")
def cli() -> None:
    """The most accurate network that meets your latency target on your device, as a checked file.

    \b
    natdeploy profile --device jetson-nano            measure the device
    natdeploy search  --target-latency 20ms           adapt a supernet and search it
    natdeploy export  subnet.json --format tflite     write a checked file

    Defaults may be set in natdeploy.toml, one table a command, and in NATDEPLOY_<COMMAND>_<OPTION>.
    """  # noqa: D301, click reads the control character
