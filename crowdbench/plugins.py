"""Entry points: how crowdbench finds methods, datasets, launchers, commands and data files of any package.

The whole plugin surface is these groups. A name is declared in the plugin's ``pyproject.toml`` and loaded on
first use; listing names imports nothing.

A package that ships data files (tables of weights, published results, suites) declares itself in the group
``crowdbench.data``, under any name, with the package as the value. Its files are found without importing it:
looking at a table must not cost an import of torch. A package whose files cannot be read is named in one line
on stderr and left out.
"""

import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

import msgspec

from crowdbench.errors import CrowdbenchError, PluginError, UnknownNameError
from crowdbench.system.plugin_calls import signals_noted, surroundings_kept
from crowdbench.system.text import plain, words_of

log = logging.getLogger("crowdbench")

Kind = Literal["method", "dataset", "launcher", "command"]
GROUPS: dict[Kind, str] = {
    "method": "crowdbench.methods",
    "dataset": "crowdbench.datasets",
    "launcher": "crowdbench.launchers",
    "command": "crowdbench.commands",
}
DATA_GROUP = "crowdbench.data"

T = TypeVar("T")

# Fields of data files, checked as they are read.
Text = Annotated[str, msgspec.Meta(min_length=1)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


@dataclass(frozen=True)
class Plugin:
    """A declared name: who declares it, and where its code is."""

    kind: Kind
    name: str
    entry_point: EntryPoint

    @property
    def origin(self) -> str:
        """Distribution and version that declare the name."""
        return origin_of(self.entry_point)

    @property
    def target(self) -> str:
        """``module:object`` that the name stands for."""
        return self.entry_point.value

    def load(self) -> object:
        """Import the plugin's code, the first time; raises PluginError with what the import raised."""
        return self._loaded

    @cached_property
    def _loaded(self) -> object:
        with signals_noted() as signals, surroundings_kept(f"{self.kind} {self.name}", "its import"):
            try:
                return self.entry_point.load()
            except BaseException as error:  # a script that was meant to be run, not imported
                if signals and not isinstance(error, Exception):
                    raise
                raise PluginError(
                    f"{self.kind} {self.name!r} of {self.origin} does not load: {type(error).__name__}: "
                    f"{words_of(error)}\nIts entry point is {self.target}; reinstall or remove the package."
                ) from error


def origin_of(entry_point: EntryPoint) -> str:
    """Distribution and version that declare an entry point."""
    return "unknown" if entry_point.dist is None else _name_of(entry_point.dist)


@cache  # reading metadata takes milliseconds
def _name_of(distribution: Distribution) -> str:
    try:
        metadata = distribution.metadata
        return plain(f"{metadata['Name']} {metadata['Version']}")
    except Exception:  # metadata that is damaged, or not there
        return plain(str(getattr(distribution, "_path", "a distribution without metadata")))


def declared(group: str) -> list[EntryPoint]:
    """The entry points of a group, without those of distributions whose metadata cannot be read."""
    try:
        return list(_declared_on(tuple(sys.path))(group=group))
    except Exception:  # one file stops the reading of all
        return [entry_point for one in _unique_distributions() for entry_point in _declared_by(one, group)]


@lru_cache(maxsize=1)
def _declared_on(_path: tuple[str, ...]) -> Callable[..., Iterable[EntryPoint]]:
    """Selects of what all distributions on Python's path declare; reading their files takes long."""
    return entry_points().select


def _unique_distributions() -> list[Distribution]:
    """Those that count: of two of one name the first on the path."""
    found: dict[str, Distribution] = {}
    for distribution in distributions():
        found.setdefault(_name_of(distribution).rpartition(" ")[0], distribution)
    return list(found.values())


def _declared_by(distribution: Distribution, group: str) -> list[EntryPoint]:
    try:
        return list(distribution.entry_points.select(group=group))
    except Exception as error:
        name = _name_of(distribution)
        say_broken(PluginError(f"{name}: its entry points cannot be read ({error}); reinstall the package."))
        return []


_said: set[str] = set()


def say_broken(error: CrowdbenchError) -> None:
    """Name a broken package in one line on stderr, once; what does not need it goes on."""
    line = " ".join(str(error).split())
    if line not in _said:
        _said.add(line)
        log.warning("a package is broken: %s", line)


@cache
def installed(kind: Kind) -> dict[str, Plugin | PluginError]:
    """All declared names of a kind, sorted. A name that two packages claim maps to the error."""
    found: dict[str, Plugin | PluginError] = {}
    for entry_point in sorted(declared(GROUPS[kind]), key=lambda e: (e.name, e.value)):
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


@dataclass(frozen=True)
class PackageData:
    """A data file of an installed package.

    Attributes:
        path: of the file.
        origin: distribution and version that ship it.
    """

    path: Path
    origin: str


@dataclass(frozen=True)
class Tables(Generic[T]):
    """What packages ship of one kind.

    Attributes:
        files: those that could be read, with what is in them, sorted by path.
        faults: why others could not, by the distribution and version that ship them.
    """

    files: tuple[tuple[PackageData, T], ...] = ()
    faults: dict[str, PluginError] = field(default_factory=dict)

    def require_readable(self, method: str) -> None:
        """Raise PluginError if the table of a method's own package could not be read."""
        plugin = installed("method").get(method)
        if isinstance(plugin, Plugin) and plugin.origin in self.faults:
            raise self.faults[plugin.origin]


def read_package_data(pattern: str, read: Callable[[PackageData], T]) -> Tables[T]:
    """Read the data files of all packages that match a pattern.

    Args:
        pattern: relative to a package's folder, as in ``"weights.toml"``.
        read: reads one file; what it raises of the product's own errors concerns that file alone.
    """
    files, faults = _data_files(pattern)
    contents = []
    for file in files:
        try:
            contents.append((file, read(file)))
        except CrowdbenchError as error:
            faults[file.origin] = _data_fault(file.origin, error)
    for fault in faults.values():
        say_broken(fault)
    return Tables(tuple(contents), faults)


def package_data_files(pattern: str) -> list[PackageData]:
    """The data files of all packages that match a pattern such as ``"suites/*.toml"``, sorted by path."""
    files, faults = _data_files(pattern)
    for fault in faults.values():
        say_broken(fault)
    return files


def _data_fault(origin: str, error: CrowdbenchError) -> PluginError:
    text = str(error)
    return PluginError(text if origin in text else f"{origin}: {text}")


def _data_files(pattern: str) -> tuple[list[PackageData], dict[str, PluginError]]:
    found: dict[Path, PackageData] = {}
    faults: dict[str, PluginError] = {}
    for entry_point in declared(DATA_GROUP):
        origin = origin_of(entry_point)
        try:
            for folder in _data_folders(entry_point.value, origin):
                for path in folder.glob(pattern):
                    found[path] = PackageData(path, origin)
        except PluginError as error:
            faults[origin] = error
    return [found[path] for path in sorted(found)], faults


def _data_folders(package: str, origin: str) -> list[Path]:
    if "." in package or ":" in package:
        raise PluginError(
            f"{origin} declares {package!r} under {DATA_GROUP}; it must be a top-level package, because "
            "finding a package inside another one imports the outer one."
        )
    try:
        spec = find_spec(package)
    except (ImportError, ValueError) as error:
        raise PluginError(f"{origin} declares data in {package!r}, not a package ({error}).") from error
    if spec is None or spec.submodule_search_locations is None:
        raise PluginError(
            f"{origin} declares data in the package {package!r}, which is not there; reinstall it."
        )
    return [Path(location) for location in spec.submodule_search_locations]
