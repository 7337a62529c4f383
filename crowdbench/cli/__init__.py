"""The command line. Each command group has a file; commands import what they need when they run."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from crowdbench import __version__, plugins
from crowdbench.cli.exit_status import DEBUG, status_of
from crowdbench.errors import PluginError, RunError

# name -> module:attribute; read when the command is asked for, so that --help stays fast.
COMMANDS = {
    "run": "crowdbench.cli.run:run",
    "train": "crowdbench.cli.train:train",
    "sweep": "crowdbench.cli.sweep:sweep",
    "status": "crowdbench.cli.jobs:status",
    "logs": "crowdbench.cli.jobs:logs",
    "cancel": "crowdbench.cli.jobs:cancel",
    "wait": "crowdbench.cli.jobs:wait",
    "score": "crowdbench.cli.score:score",
    "leaderboard": "crowdbench.cli.leaderboard:leaderboard",
    "compare": "crowdbench.cli.compare:compare",
    "analyse": "crowdbench.cli.analyse:analyse",
    "report": "crowdbench.cli.report:report",
    "export": "crowdbench.cli.export:export",
    "predict": "crowdbench.cli.predict:predict",
    "info": "crowdbench.cli.info:info",
    "new-method": "crowdbench.cli.new_method:new_method",
    "methods": "crowdbench.cli.list_plugins:methods",
    "datasets": "crowdbench.cli.list_plugins:datasets",
    "check": "crowdbench.cli.check:check",
    "data": "crowdbench.cli.data:data",
    "weights": "crowdbench.cli.weights:weights",
}
SUMMARIES = {
    "run": "Run a method on a dataset and score it.",
    "train": "Train a method, then run it.",
    "sweep": "Carry out the runs of a suite that are not done.",
    "status": "Show how runs and jobs stand.",
    "logs": "Print what a job says.",
    "cancel": "Call jobs off.",
    "wait": "Wait until jobs have ended.",
    "score": "Score anybody's results file.",
    "leaderboard": "Show runs as a table.",
    "compare": "Say whether one run is better than another, or had luck.",
    "analyse": "Say where runs lose their AP.",
    "report": "Write one HTML page about runs: curves, errors, pictures.",
    "export": "Pack a run as its dataset's evaluation server takes it.",
    "predict": "Draw the poses of pictures and videos.",
    "info": "Say what a method is, what it costs, and what was published.",
    "new-method": "Write a package with a method of your own, ready to run.",
    "methods": "List the installed methods.",
    "datasets": "List the installed datasets.",
    "check": "Check that a method or a dataset keeps to the contract.",
    "data": "Check, and make, data on disk.",
    "weights": "List, fetch and convert published weights.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def __init__(
        self, *args: Any, commands_at: dict[str, str], summaries: dict[str, str], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.commands_at = commands_at
        self.summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return [*self.commands_at, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in self.commands_at:
            return super().get_command(ctx, cmd_name)
        module, attribute = self.commands_at[cmd_name].split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse empty arguments: an empty path, as of a variable that is not set, is the current folder."""
        for before, argument in zip(["", *args], args, strict=False):
            option, is_assigned, value = argument.partition("=")
            is_empty_option = option.startswith("--") and is_assigned and not value
            if not argument.strip() or is_empty_option:
                where = option if is_empty_option else before
                raise click.UsageError(
                    f"an argument is empty{f', after {where}' if where else ''}. Is a shell variable unset?",
                    ctx,
                )
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command. click ends quietly on any broken pipe; only standard output's may be."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise RunError("another process that this one talks to has gone (broken pipe).") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List names and summaries without importing the commands."""
        rows = [(name, self.summaries[name]) for name in self.commands_at]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class PluginGroup(click.Group):
    """A group that plugins add to, declared in ``crowdbench.commands`` as ``"<group> <command>"``."""

    def _declared(self) -> dict[str, "plugins.Plugin | PluginError"]:
        prefix = f"{self.name} "
        return {
            name.removeprefix(prefix): plugin
            for name, plugin in plugins.installed("command").items()
            if name.startswith(prefix)
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Own commands and those of plugins."""
        return sorted({*self.commands, *self._declared()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; a plugin's must be a click command."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in self._declared():
            return own
        command = plugins.load("command", f"{self.name} {cmd_name}")
        if not isinstance(command, click.Command):
            raise PluginError(
                f"command '{self.name} {cmd_name}' stands for {command!r}, not for a click command."
            )
        return command


def _debug(_: click.Context, __: click.Parameter, wanted: bool) -> None:
    if wanted:
        os.environ[DEBUG] = "1"  # also for the processes that are started


@click.group(
    cls=LazyGroup,
    commands_at=COMMANDS,
    summaries=SUMMARIES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="crowdbench")
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_debug,
    help=f"Show the trace of an error; as {DEBUG}=1 does.",
)
def cli() -> None:
    """Measure crowded-scene human-pose methods: one data path, one scorer, one record."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit. Whatever goes wrong is a line on standard error, never a trace."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(status_of(lambda: cli.main(args=given, prog_name="crowdbench", standalone_mode=False), given))
