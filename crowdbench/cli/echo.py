"""Print text safely: names of files, methods and servers cannot control the terminal."""

from typing import Any

import click

from crowdbench.system.text import plain_json, plain_lines


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text (with `err` to standard error), its control characters as escapes; `nl` ends the line."""
    click.echo(plain_lines(str(text)), err=err, nl=nl)


def say_table(rows: Any, headers: Any = "keys", **layout: Any) -> None:
    """Print a table whose cells are text; `rows`, `headers` and `layout` are those of tabulate."""
    from tabulate import tabulate

    say(tabulate(rows, headers=headers, disable_numparse=True, **layout))


def size_text(size: Any) -> str:
    """A size as in 256x192; other values as they are."""
    return "x".join(map(str, size)) if isinstance(size, list | tuple) else str(size)


def say_json(content: Any) -> None:
    """Print a JSON object, in the spelling that cannot move a terminal's cursor."""
    from crowdbench.system.files.json_text import encoded_json

    click.echo(plain_json(encoded_json(content).decode()))
