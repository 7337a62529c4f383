"""Options that several commands share, and how their values are read."""

from pathlib import Path

import click

_EXAMPLES = {"--set": "flip_test=false", "--recipe": "epochs=10"}


def key_value_pairs(_: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    """The values of an option ``KEY=VALUE`` by key; a hyphen in a key is an underscore.

    Raises:
        click.BadParameter: one has another form.
    """
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
    """The values of an option ``NAME=PATH`` by name.

    Raises:
        click.BadParameter: one has another form.
    """
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
