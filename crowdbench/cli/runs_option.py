"""The option that says where runs are looked for by name; the same for every command that names runs."""

from pathlib import Path

import click

runs_option = click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    metavar="DIR",
    help="Directory for runs, in which names are looked up.",
)
