"""The command line is a promise: an option that comes, goes or changes its default is seen here first."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from crowdbench.cli import COMMANDS, cli

FROZEN = Path(__file__).with_name("command_line.json")


def options_of(command: click.Command) -> dict[str, Any]:
    """Every argument and option, with its other names and its default."""
    found = {}
    for parameter in command.params:
        names = [*parameter.opts, *parameter.secondary_opts]
        default = parameter.default
        is_plain = isinstance(default, str | int | float | bool)
        found[max(names, key=len)] = {
            "names": sorted(names),
            "default": default if is_plain else None if not isinstance(default, Path) else str(default),
            "takes_a_value": not getattr(parameter, "is_flag", False),
        }
    return dict(sorted(found.items()))


def command_line() -> dict[str, Any]:
    context = click.Context(cli)
    found: dict[str, Any] = {"": options_of(cli)}
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found[name] = options_of(command)
        if isinstance(command, click.Group):
            inner = click.Context(command, info_name=name, parent=context)
            for part in command.list_commands(inner):
                inside = command.get_command(inner, part)
                assert inside is not None
                found[f"{name} {part}"] = options_of(inside)
    return found


@pytest.mark.parametrize("name", sorted({*json.loads(FROZEN.read_text("utf-8")), *COMMANDS}))
def test_options_are_those_of_the_frozen_list(name: str) -> None:
    """To change the list on purpose: ``python tests/test_command_line_is_frozen.py`` writes it anew."""
    assert command_line().get(name) == json.loads(FROZEN.read_text("utf-8")).get(name)


if __name__ == "__main__":
    FROZEN.write_text(json.dumps(command_line(), indent=1, sort_keys=True) + "\n", "utf-8")
