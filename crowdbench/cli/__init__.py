"""The command line. Each command group has a file; commands import what they need when they run."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from crowdbench.cli.echo import say
from crowdbench.cli.exit_status import DEBUG, status_of
from crowdbench.cli.groups import LazyGroup
from crowdbench.system.version import package_version

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
    "train": "Train a method, then evaluate its weights.",
    "sweep": "Run the missing runs of a suite.",
    "status": "Show the status of runs and jobs.",
    "logs": "Print a job's log.",
    "cancel": "Cancel jobs.",
    "wait": "Wait until jobs have ended.",
    "score": "Score a results file.",
    "leaderboard": "Show runs as tables.",
    "compare": "Test whether two runs differ significantly.",
    "analyse": "Show where runs lose AP.",
    "report": "Write an HTML page about runs: curves, errors, images.",
    "export": "Pack a run for its dataset's evaluation server.",
    "predict": "Find and draw the poses in images and videos.",
    "info": "Show what a method is, what it costs, and its published results.",
    "new-method": "Write a package with a method of your own, ready to run.",
    "methods": "List the installed methods.",
    "datasets": "List the installed datasets.",
    "check": "Check that a method or a dataset follows the plugin contract.",
    "data": "Check and create data on disk.",
    "weights": "List, fetch and convert published weights.",
}


def _debug(_: click.Context, __: click.Parameter, wanted: bool) -> None:
    if wanted:
        os.environ[DEBUG] = "1"  # also for the processes that are started


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        say(f"crowdbench, version {package_version()}")
        context.exit()


@click.group(
    cls=LazyGroup,
    commands_at=COMMANDS,
    summaries=SUMMARIES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Show the version and exit.",
)
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_debug,
    help=f"Show the traceback of an error, as {DEBUG}=1 does.",
)
def cli() -> None:
    """Measure crowded-scene human-pose methods: one data path, one scorer, one record."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit. Whatever goes wrong is a line on standard error, never a trace."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(status_of(lambda: cli.main(args=given, prog_name="crowdbench", standalone_mode=False), given))
