"""Data files that packages ship: tables of weights, published results, suites.

A package says in its entry points that it has some (group ``crowdbench.data``, any name, the package as
value). Its files are found without importing it: looking at a table must not cost an import of torch.
"""

from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from crowdbench.errors import PluginError

GROUP = "crowdbench.data"


@dataclass(frozen=True)
class ShippedFile:
    """A data file of an installed package.

    Attributes:
        path: of the file.
        origin: distribution and version that ship it.
    """

    path: Path
    origin: str


def shipped_files(pattern: str) -> list[ShippedFile]:
    """The data files of all packages that match a pattern, sorted by path.

    Args:
        pattern: relative to a package's folder, as in ``"weights.toml"`` or ``"suites/*.toml"``.

    Raises:
        PluginError: a package is declared and is not there.
    """
    found: dict[Path, ShippedFile] = {}
    for entry_point in entry_points(group=GROUP):
        distribution = entry_point.dist
        origin = f"{distribution.name} {distribution.version}" if distribution else "unknown"
        for folder in _folders(entry_point.value, origin):
            for path in folder.glob(pattern):
                found[path] = ShippedFile(path, origin)
    return [found[path] for path in sorted(found)]


def _folders(package: str, origin: str) -> list[Path]:
    if "." in package or ":" in package:
        raise PluginError(
            f"{origin} declares {package!r} under {GROUP}; it must be a top-level package, because finding a "
            "package inside another one imports the outer one."
        )
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise PluginError(
            f"{origin} declares data in the package {package!r}, which is not there; reinstall it."
        )
    return [Path(location) for location in spec.submodule_search_locations]
