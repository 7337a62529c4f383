"""Entry points: how crowdbench finds methods, datasets, launchers and commands, its own and a stranger's.

The whole plugin surface is these groups. A name is declared in the plugin's ``pyproject.toml`` and loaded on
first use; listing names imports nothing.
"""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Literal

from crowdbench.errors import PluginError, UnknownNameError

Kind = Literal["method", "dataset", "launcher", "command"]
GROUPS: dict[Kind, str] = {
    "method": "crowdbench.methods",
    "dataset": "crowdbench.datasets",
    "launcher": "crowdbench.launchers",
    "command": "crowdbench.commands",
}


@dataclass(frozen=True)
class Plugin:
    """A declared name: who declares it, and where its code is."""

    kind: Kind
    name: str
    entry_point: EntryPoint

    @property
    def origin(self) -> str:
        """Distribution and version that declare the name."""
        distribution = self.entry_point.dist
        return f"{distribution.name} {distribution.version}" if distribution else "unknown"

    @property
    def target(self) -> str:
        """``module:object`` that the name stands for."""
        return self.entry_point.value

    def load(self) -> object:
        """Import the plugin's code.

        Raises:
            PluginError: the import failed; the message says with what.
        """
        try:
            return self.entry_point.load()
        except (Exception, SystemExit) as error:  # a script that was meant to be run, not imported
            raise PluginError(
                f"{self.kind} {self.name!r} of {self.origin} does not load: {type(error).__name__}: {error}\n"
                f"Its entry point is {self.target}; reinstall or remove the package."
            ) from error


@cache
def installed(kind: Kind) -> dict[str, Plugin | PluginError]:
    """All declared names of a kind, sorted. A name that two packages claim maps to the error."""
    found: dict[str, Plugin | PluginError] = {}
    for entry_point in sorted(entry_points(group=GROUPS[kind]), key=lambda e: (e.name, e.value)):
        plugin = Plugin(kind, entry_point.name, entry_point)
        other = found.get(plugin.name)
        if isinstance(other, Plugin) and other.target != plugin.target:
            found[plugin.name] = PluginError(
                f"two packages declare the {kind} {plugin.name!r}: {other.origin} ({other.target}) and "
                f"{plugin.origin} ({plugin.target}).\nUninstall one of them."
            )
        elif other is None:
            found[plugin.name] = plugin
    return found


def load(kind: Kind, name: str) -> object:
    """The object behind a name.

    Raises:
        UnknownNameError: nothing installed declares the name.
        PluginError: the plugin does not load, or two packages claim the name.
    """
    plugins = installed(kind)
    if name not in plugins:
        listed = kind in ("method", "dataset")
        hint = f"`crowdbench {kind}s` lists what is installed." if listed else ""
        raise UnknownNameError(kind, name, plugins, hint=hint)
    plugin = plugins[name]
    if isinstance(plugin, PluginError):
        raise plugin
    return plugin.load()
