"""Command groups whose commands, including those of plugins, are imported when they are called."""

from importlib import import_module
from typing import Any

import click

from crowdbench import plugins
from crowdbench.errors import PluginError, RunError


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
                f"command '{self.name} {cmd_name}' refers to {command!r}, which is not a click command."
            )
        return command
