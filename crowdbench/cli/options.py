"""Options that several commands share, and how their values are read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)

_EXAMPLES = {"--set": "flip_test=false", "--recipe": "epochs=10"}


def key_value_pairs(_: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    """The values of an option ``KEY=VALUE`` by key (hyphens become underscores); raises BadParameter."""
    values = {}
    for pair in pairs:
        key, found, value = pair.partition("=")
        if not found or not key:
            option = parameter.opts[0]
            raise click.BadParameter(
                f"{pair!r} is not key=value, as in {option} {_EXAMPLES.get(option, 'key=value')}."
            )
        values[key.replace("-", "_")] = value
    return values


def named_paths(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, Path]:
    """The values of an option ``NAME=PATH`` by name; raises BadParameter."""
    paths = {}
    for pair in pairs:
        name, found, path = pair.partition("=")
        if not found or not name or not path:
            raise click.BadParameter(f"{pair!r} is not NAME=PATH.")
        paths[name] = Path(path)
    return paths


settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    callback=key_value_pairs,
    metavar="KEY=VALUE",
    help="Override a setting of the method.",
)
root_option = click.option("--root", type=PATH, help="The dataset's folder.")
split_option = click.option("--split", help="The split. Default: the one that papers report.")
annotations_option = click.option(
    "--annotations", type=PATH, help="Ground-truth file to use instead of the dataset's own."
)
weights_option = click.option(
    "--weights",
    default="published",
    show_default=True,
    help="published, the name of published weights, a URL, a file, or none for random weights.",
)
out_option = click.option(
    "--out", type=PATH, default=Path("runs"), show_default=True, help="Directory for runs."
)
runs_option = click.option(
    "--runs",
    type=PATH,
    default=Path("runs"),
    show_default=True,
    metavar="DIR",
    help="Directory for runs, in which names are looked up.",
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="Device to compute on: auto, cpu, cuda, cuda:1, ..."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Floating-point format of the network.",
)
compile_option = click.option(
    "--compile", "compiled", is_flag=True, help="Use torch.compile, which pays off in long runs."
)
batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Persons (top-down methods) or images per batch. Default: what suits the device.",
)
workers_option = click.option(
    "--workers", type=click.IntRange(0), help="Loader processes. Default: half the number of CPUs."
)
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Seed for random weights.")


def json_option(printed: str) -> Callable[..., Any]:
    """``--json``, whose help says what is printed."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {printed}.")
