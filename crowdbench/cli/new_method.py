"""``crowdbench new-method NAME``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crowdbench.cli.echo import say
from crowdbench.cli.options import PATH

if TYPE_CHECKING:
    from crowdbench.scaffold.new_method import Beginning


@click.command("new-method")
@click.argument("name")
@click.option(
    "--paradigm",
    type=click.Choice(["top-down", "bottom-up", "wrapper"]),
    default="top-down",
    show_default=True,
    help=(
        "The kind of method: a network for each person's crop, a network for whole images, or a model "
        "that is not PyTorch."
    ),
)
@click.option(
    "--out",
    type=PATH,
    default=Path(),
    show_default="here",
    help="The directory in which the package's directory is created.",
)
def new_method(name: str, paradigm: "Beginning", out: Path) -> None:
    """Write a package with a method called NAME, which installs, runs and passes its tests as it is."""
    from crowdbench.scaffold.new_method import commands_of, new_method

    for file in new_method(name, paradigm, out):
        say(file)
    say("\nNext:")
    for command in (f"pip install -e {shlex.quote(str(out / name))}", *commands_of(name, paradigm)):
        say(f"  {command}")
