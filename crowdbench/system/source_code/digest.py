"""The digest of the code that determines a run's numbers.

What is in: of crowdbench, of the method's classes and of the dataset's, all files of the packages that their
distributions install, wherever these lie: a checkout, a folder on the path, an installed wheel (whose files
are read, so that one that was edited is noticed). Of code that is not installed from a wheel also what it
imports that is not installed either: packages beside it, a module beside a script. Of a class that is defined
in a notebook, its code as Python has compiled it.

What is out: compiled Python, hidden files, ``runs`` and ``wandb`` folders, environments, folders of more than
1,000 files without a line of Python. Of files above 64 MiB the name and the size are in. Other installed
packages count by their versions.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution
from itertools import groupby
from pathlib import Path

from crowdbench.system.files.digests import FileDigests
from crowdbench.system.source_code.compiled import digest_of_classes
from crowdbench.system.source_code.files import Sources, sources_called, sources_of_module

LARGEST_BYTES = 64 * 2**20  # nothing that is written by hand is larger
_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^#\n;]+)|import[ \t]+([^#\n;]+))"
    rb"|(?:import_module|__import__)\(\s*[\"']([\w.]+)[\"']",
    re.MULTILINE,
)
_NAME = re.compile(rb"[^\W\d]\w*(?:\.\w+)*")


@dataclass(frozen=True)
class SourceCode:
    """Code under one name.

    Attributes:
        name: of the package or module.
        digest: of the names and contents of its files, wherever they are.
        place: a folder or file; None without any.
        is_installed: whether it is where packages are installed.
    """

    name: str
    digest: str
    place: Path | None
    is_installed: bool


def code_of(classes: Iterable[type], owners: Iterable[Distribution] = ()) -> dict[str, SourceCode]:
    """The code of crowdbench and of some classes with their bases, by name.

    Args:
        classes: of a method, its settings, a dataset.
        owners: the distributions that they are from, if known.
    """
    bases = list(dict.fromkeys(base for cls in classes for base in cls.__mro__))
    bases = [base for base in bases if _top(base.__module__) not in sys.stdlib_module_names]
    todo = [found for cls in bases if (found := sources_of_module(cls.__module__)) is not None]
    homeless = [cls for cls in bases if sources_of_module(cls.__module__) is None]
    names = {"crowdbench"}.union(*map(packages_of, owners))
    todo += [found for name in sorted(names) if (found := sources_called(name)) is not None]
    code: dict[str, SourceCode] = {}
    known: set[str] = set()
    if homeless:
        digest, used = digest_of_classes(homeless)
        code["__main__"] = SourceCode("__main__", digest, None, False)
        todo += _resolved(used)
    while todo:
        sources = todo.pop()
        if sources.name in code or _within(sources.name, code):
            continue
        code[sources.name], imported = _digested(sources)
        if not sources.is_installed:
            todo += _resolved(imported - known)
            known |= imported
    return dict(sorted(code.items()))


def combined(code: Mapping[str, SourceCode]) -> str:
    """One digest of all."""
    lines = "".join(f"{name} {found.digest}\n" for name, found in code.items())
    return hashlib.sha256(lines.encode()).hexdigest()


def _top(module: str) -> str:
    return module.partition(".")[0]


def _within(name: str, code: dict[str, SourceCode]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:depth]) in code for depth in range(1, len(parts)))


def _digested(sources: Sources) -> tuple[SourceCode, set[str]]:
    """Its code, and the names that it imports."""
    cached = FileDigests(f"code {sources.place}", imports_in, LARGEST_BYTES)
    files = sources.files()
    whole = hashlib.sha256()
    imported: set[str] = set()
    for (name, _), found in zip(files, cached.of([path for _, path in files]), strict=True):
        whole.update(os.fsencode(name) + b"\0" + found.digest.encode() + b"\n")
        imported.update(found.notes)
    cached.save(only=True)
    return SourceCode(sources.name, whole.hexdigest(), sources.place, sources.is_installed), imported


def imports_in(source: bytes) -> tuple[str, ...]:
    """The dotted names that a Python file may import; relative ones stay within their package."""
    names: set[bytes] = set()
    for match in _IMPORT.finditer(source):
        parent, taken, plain, called = match.groups()
        if parent is not None and not parent.startswith(b"."):
            names.add(parent)
            # Of a package without __init__.py the module that is taken from it is what counts.
            names |= {parent + b"." + name for name in _NAME.findall(_without_new_names(taken))}
        elif plain is not None:
            names |= {name for part in plain.split(b",") for name in _NAME.findall(part)[:1]}
        elif called is not None:
            names.add(called)
    return tuple(sorted(name.decode(errors="replace") for name in names))


def _without_new_names(taken: bytes) -> bytes:
    return re.sub(rb"\bas\s+\w+", b"", re.sub(rb"#[^\n]*", b"", taken))


def _resolved(names: Iterable[str]) -> Iterator[Sources]:
    """The code behind imported names that is not installed from a wheel."""
    for top, group in groupby(sorted(names), _top):
        found = sources_called(top)
        if found is not None:
            yield from () if found.is_installed else (found,)
            continue
        # Perhaps a package without __init__.py, and these its modules.
        for name in group:
            found = sources_called(name) if "." in name else None
            if found is not None and not found.is_installed:
                yield found


def packages_of(owner: Distribution) -> set[str]:
    """The names of the packages and modules that a distribution installs."""
    names = set(_text_of(owner, "top_level.txt").split())
    for line in _text_of(owner, "RECORD").splitlines():
        path = line.rsplit(",", 2)[0].strip('"')
        first, slash, _ = path.partition("/")
        if slash and not first.startswith(("..", "__pycache__")) and "." not in first:
            names.add(first)
        elif not slash and first.endswith(".py") and not first.startswith("__editable__"):
            names.add(first.removesuffix(".py"))
        elif not slash and first.endswith(".pth"):
            names |= _beside(Path(str(owner.locate_file(first))))
    return {name for name in names if name.isidentifier()}


def _text_of(owner: Distribution, file: str) -> str:
    try:
        return owner.read_text(file) or ""
    except (OSError, UnicodeDecodeError):  # a package that is broken elsewhere is named elsewhere
        return ""


def _beside(path_file: Path) -> set[str]:
    """What lies in the folders that a ``.pth`` file adds to the path, if they hold nothing but sources."""
    try:
        lines = path_file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    names = set()
    for line in lines:
        folder = Path(line)
        # A project's own folder also has its tests and tools; what is imported of it is found otherwise.
        if line.startswith("import ") or not folder.is_dir() or (folder / "pyproject.toml").exists():
            continue
        names |= {place.parent.name for place in folder.glob("*/__init__.py")}
        names |= {place.stem for place in folder.glob("*.py")}
    return names
