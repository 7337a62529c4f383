"""Print text safely: names of files, methods and servers cannot control the terminal."""

from typing import Any

import click

from crowdbench.system.text import plain_json, plain_lines


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text; control characters are shown as escapes.

    Args:
        text: of one line or several.
        err: to standard error.
        nl: end the line.
    """
    click.echo(plain_lines(str(text)), err=err, nl=nl)


def say_json(content: Any) -> None:
    """Print a JSON object, in the spelling that cannot move a terminal's cursor."""
    from crowdbench.system.files.json_text import encoded_json

    click.echo(plain_json(encoded_json(content).decode()))
