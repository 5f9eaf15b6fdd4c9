"""The group of commands. Each command is imported only when it is used, so that --help is fast."""

from __future__ import annotations

import importlib

import click

from natdeploy.cli.config import option_defaults
from natdeploy.errors import did_you_mean
from natdeploy.version import __version__

COMMANDS = {
    "profile": "Measure a device and write its table of layer latencies.",
    "search": "Train a supernet on your data and select a network within a latency limit.",
    "export": "Write a subnet as an ONNX, TFLite or TensorRT file, and check it.",
    "inspect": "Show the layers of a subnet and their costs.",
    "extract": "Take a subnet from a supernet or a finished run.",
    "predict": "Predict the latency of a subnet from a device's table.",
    "measure": "Run a subnet or an exported file and time it.",
    "devices": "List the known devices, their state and their tables.",
    "tables": "List, check, import, fit and calibrate latency tables.",
    "report": "Write the report of a finished run again, or compare several.",
    "pretrain": "Train a supernet from random weights.",
    "adapt": "Train a supernet on your data, without searching.",
    "demo": "Run every step on bundled data.",
    "doctor": "Check what is installed and which devices can be reached.",
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
    """Find the most accurate network within a latency limit on your device, and write it as a checked file.

    \b
    natdeploy profile --device jetson-nano            measure the device
    natdeploy search  --target-latency 20ms           train a supernet and search it
    natdeploy export  subnet.json --format tflite     write and check a file

    Defaults of options can be set in natdeploy.toml, with one table per command, and in environment variables
    NATDEPLOY_<COMMAND>_<OPTION>.
    """  # noqa: D301, click reads the control character
