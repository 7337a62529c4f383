"""What commands print: names of files, methods and servers are shown, never obeyed by a terminal."""

import json
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
    """Print one JSON object; where JSON can say it in two ways, in the one that moves no cursor.

    Args:
        content: what msgspec encodes.
    """
    import msgspec

    try:
        text = msgspec.json.encode(content).decode()
    except UnicodeEncodeError:  # names that are not UTF-8: Python's own encoder escapes their bytes
        text = json.dumps(msgspec.to_builtins(content))
    click.echo(plain_json(text))
