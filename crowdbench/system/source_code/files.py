"""Find the source files of a module: those of its outermost package, or its own."""

import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

# A folder without a line of Python that holds more files than this holds data, not a table or two.
MOST_DATA_FILES = 1000
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages"})
_RESULTS = frozenset({"runs", "wandb"})  # unless there is Python in them
_COMPILED = (".pyc", ".pyo")


@dataclass(frozen=True)
class Sources:
    """The code under one name.

    Attributes:
        name: of the package or module, with dots.
        place: the package's folder, or the module's file.
    """

    name: str
    place: Path

    @property
    def is_installed(self) -> bool:
        """Whether it is where packages are installed, and not a work in progress."""
        return is_installed(self.place)

    def files(self) -> list[tuple[str, str]]:
        """Names that mean the same wherever the code lies, and paths, in the order of the names."""
        if not self.place.is_dir():
            return [(self.place.name, str(self.place))]
        return sorted(_walk(str(self.place), "", {_identity(str(self.place))}))


def _walk(folder: str, prefix: str, above: set[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder) as scanned:
            entries = [entry for entry in scanned if not entry.name.startswith(".")]
    except OSError:
        return
    names = {entry.name for entry in entries}
    # An environment, or a run of crowdbench.
    if prefix and names & {"pyvenv.cfg", "run.json"}:
        return
    has_python = any(name.endswith(".py") for name in names)
    if not has_python and (len(entries) > MOST_DATA_FILES or os.path.basename(folder) in _RESULTS):  # noqa: PTH119
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:
            continue
        if is_folder:
            if entry.name in _LEFT_OUT or entry.name.endswith((".dist-info", ".egg-info")):
                continue
            own = _identity(entry.path)
            if own in above or (entry.is_symlink() and not _holds_python(entry.path)):
                continue
            yield from _walk(entry.path, f"{name}/", above | {own})
        elif is_file and not entry.name.endswith(_COMPILED):
            yield name, entry.path


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _holds_python(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(".py") for entry in entries)
    except OSError:
        return False


def sources_of_module(name: str) -> Sources | None:
    """The code of an imported module: its whole outermost package, or its own file; None if it has none."""
    module = sys.modules.get(name)
    if name == "__main__":
        spec = getattr(module, "__spec__", None)
        if spec is not None and spec.name != "__main__":
            name = spec.name.removesuffix(".__main__")  # python -m
            return sources_called(name)
    file = getattr(module, "__file__", None)
    place = _existing(Path(file)) if file is not None else None
    if place is None or not place.exists():  # a notebook, or what was piped into Python
        return None
    return _outermost(name, place)


def sources_called(name: str) -> Sources | None:
    """The code behind a dotted name, found without importing it; None if it has no file."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return None
    spec = _spec(top)
    if spec is None:
        return None
    if spec.origin and spec.has_location:
        return _outermost(top, _existing(Path(spec.origin)))
    return _in_namespace(name, list(spec.submodule_search_locations or ()))


def _spec(top: str) -> ModuleSpec | None:
    module = sys.modules.get(top)
    found = getattr(module, "__spec__", None)
    if found is not None:
        return found if isinstance(found, ModuleSpec) else None
    try:
        return importlib.util.find_spec(top)
    except Exception:  # of a finder that some package has put in; what it cannot find is not there
        return None


def _in_namespace(name: str, places: list[str]) -> Sources | None:
    """The first real package, or module, on the way down into one without ``__init__.py``."""
    parts = name.split(".")
    for place in places:
        folder = Path(place)
        for depth, part in enumerate(parts[1:], 2):
            called = ".".join(parts[:depth])
            if (folder / part / "__init__.py").is_file():
                return Sources(called, folder / part)
            if (folder / f"{part}.py").is_file():
                return Sources(called, folder / f"{part}.py")
            folder /= part
    return None


def _existing(file: Path) -> Path:
    """The file, or the archive that it is in."""
    if file.exists():
        return file
    return next((place for place in file.parents if place.is_file()), file)


def _outermost(name: str, file: Path) -> Sources:
    if not file.name.startswith("__init__."):
        module, place = name, file
    else:
        module, place = name, file.parent
    parts = module.split(".")
    found = Sources(module, place)
    for depth in range(len(parts) - 1, 0, -1):
        place = place.parent
        if place.name != parts[depth - 1] or not (place / "__init__.py").is_file():
            break
        found = Sources(".".join(parts[:depth]), place)
    return found


def is_installed(place: Path) -> bool:
    """Whether a file or folder lies where packages are installed, or is Python's own."""
    text = os.path.abspath(place)  # noqa: PTH100  (imports do not follow links)
    return text.startswith(_installed_places())


@cache
def _installed_places() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    places = {paths[name] for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    places |= {site.getusersitepackages(), *site.getsitepackages()}
    places |= {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    return tuple(os.path.join(place, "") for place in places)  # noqa: PTH118
