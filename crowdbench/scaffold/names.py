"""Derive a plugin's module and class names from the method's name, and reject unusable names."""

import builtins
import keyword
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from crowdbench import plugins
from crowdbench.errors import InputError

_FORM = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# Folders that Python projects have beside their code; pytest and setuptools take them for what they are not.
_FOLDERS = {"src", "tests", "docs", "build", "dist", "examples"}


@dataclass(frozen=True)
class PackageNames:
    """One plugin's names.

    Attributes:
        name: of the method and of its distribution, as in ``my-method``.
        module: as in ``my_method``.
        class_name: as in ``MyMethod``.
    """

    name: str
    module: str
    class_name: str


def names_of(name: str, taken: Collection[str] = ()) -> PackageNames:
    """The names of a plugin.

    Args:
        name: of its method.
        taken: what its class cannot be called, because its code uses the word.

    Raises:
        InputError: the name will not do; the message says why.
    """
    if not _FORM.fullmatch(name):
        raise InputError(
            f"{name!r} will not do as the name of a method.\n"
            "Take lowercase letters, digits and single hyphens, a letter first, as in my-method or pose-3d."
        )
    module = name.replace("-", "_")
    obstacle = _obstacle(name, module)
    if obstacle:
        raise InputError(f"{name!r} will not do as the name of a method: {obstacle}.\nChoose another name.")
    return PackageNames(name, module, _class_name(name, {*taken, *keyword.kwlist, *dir(builtins)}))


def _obstacle(name: str, module: str) -> str | None:
    """Why a package of this name would not be importable, or would hide another."""
    if keyword.iskeyword(module):
        return f"{module} is a word of Python itself, and cannot be imported"
    if module in _FOLDERS:
        return f"projects have a folder {module} for other things"
    plugin = plugins.installed("method").get(name)
    if plugin is not None:
        origin = f" (from {plugin.origin})" if isinstance(plugin, plugins.Plugin) else ""
        return f"a method of this name is installed{origin}"
    if module in sys.stdlib_module_names or _is_installed(module):
        return f"a module {module} is installed, which the new one would hide"
    try:
        return f"a distribution {name} {version(name)} is installed, which pip would remove for the new one"
    except PackageNotFoundError:
        return None


def _is_installed(module: str) -> bool:
    # What has no origin is a folder that happens to lie on the way, not a package.
    spec = find_spec(module)
    return spec is not None and spec.origin is not None


def _class_name(name: str, taken: Collection[str]) -> str:
    """``my-method`` → ``MyMethod``; ``My`` is put before one that is taken: ``pose`` → ``MyPose``."""
    class_name = "".join(part.capitalize() for part in name.split("-"))
    while class_name in taken:
        class_name = f"My{class_name}"
    return class_name
