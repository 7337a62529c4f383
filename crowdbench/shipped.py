"""Data files that packages ship: tables of weights, published results, suites.

A package says in its entry points that it has some (group ``crowdbench.data``, any name, the package as
value). Its files are found without importing it: looking at a table must not cost an import of torch.

A package whose files cannot be read is named in one line on stderr and left out; the others go on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Generic, TypeVar

from crowdbench import plugins
from crowdbench.errors import CrowdbenchError, PluginError

GROUP = "crowdbench.data"

T = TypeVar("T")


@dataclass(frozen=True)
class ShippedFile:
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

    files: tuple[tuple[ShippedFile, T], ...] = ()
    faults: dict[str, PluginError] = field(default_factory=dict)

    def require_readable(self, method: str) -> None:
        """Called where nothing is found for a method: perhaps its own package's table could not be read.

        Raises:
            PluginError: so it is.
        """
        plugin = plugins.installed("method").get(method)
        if isinstance(plugin, plugins.Plugin) and plugin.origin in self.faults:
            raise self.faults[plugin.origin]


def read_shipped(pattern: str, read: Callable[[ShippedFile], T]) -> Tables[T]:
    """Read the data files of all packages that match a pattern.

    Args:
        pattern: relative to a package's folder, as in ``"weights.toml"``.
        read: reads one file; what it raises of the product's own errors concerns that file alone.
    """
    files, faults = _found(pattern)
    contents = []
    for file in files:
        try:
            contents.append((file, read(file)))
        except CrowdbenchError as error:
            faults[file.origin] = _fault(file.origin, error)
    for fault in faults.values():
        plugins.say_broken(fault)
    return Tables(tuple(contents), faults)


def shipped_files(pattern: str) -> list[ShippedFile]:
    """The data files of all packages that match a pattern, sorted by path.

    Args:
        pattern: relative to a package's folder, as in ``"weights.toml"`` or ``"suites/*.toml"``.
    """
    files, faults = _found(pattern)
    for fault in faults.values():
        plugins.say_broken(fault)
    return files


def _fault(origin: str, error: CrowdbenchError) -> PluginError:
    text = str(error)
    return PluginError(text if origin in text else f"{origin}: {text}")


def _found(pattern: str) -> tuple[list[ShippedFile], dict[str, PluginError]]:
    found: dict[Path, ShippedFile] = {}
    faults: dict[str, PluginError] = {}
    for entry_point in plugins.declared(GROUP):
        origin = plugins.origin_of(entry_point)
        try:
            for folder in _folders(entry_point.value, origin):
                for path in folder.glob(pattern):
                    found[path] = ShippedFile(path, origin)
        except PluginError as error:
            faults[origin] = error
    return [found[path] for path in sorted(found)], faults


def _folders(package: str, origin: str) -> list[Path]:
    if "." in package or ":" in package:
        raise PluginError(
            f"{origin} declares {package!r} under {GROUP}; it must be a top-level package, because finding a "
            "package inside another one imports the outer one."
        )
    try:
        spec = find_spec(package)
    except (ImportError, ValueError) as error:
        raise PluginError(f"{origin} declares data in {package!r}, which is no package ({error}).") from error
    if spec is None or spec.submodule_search_locations is None:
        raise PluginError(
            f"{origin} declares data in the package {package!r}, which is not there; reinstall it."
        )
    return [Path(location) for location in spec.submodule_search_locations]
