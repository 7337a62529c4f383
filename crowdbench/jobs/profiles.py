"""Profiles: under one name, a launcher and its options, as in ``--on a100``.

    [profile.a100]
    launcher = "slurm"
    partition = "gpu"

They stand in ``crowdbench.toml`` of the folder in which one works or of a folder above it, in
``profiles.toml`` of the user's configuration, and in ``profiles/*.toml`` of installed packages; the first of
these that knows a name is believed. A profile may be called like a launcher: it then holds its defaults.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from crowdbench import plugins
from crowdbench.errors import InputError, PluginError, UnknownNameError
from crowdbench.plugins import read_package_data
from crowdbench.system.files.reading import read_toml_as

PROJECT_FILE = "crowdbench.toml"
USER_FILE = "profiles.toml"
LOCAL = "local"


@dataclass(frozen=True)
class Profile:
    """A launcher and its options.

    Attributes:
        name: of the profile.
        launcher: of the installed launcher.
        options: what the launcher makes of them is its own.
        file: where it stands; None if it is a launcher without options.
    """

    name: str
    launcher: str
    options: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None


class _File(msgspec.Struct):
    profile: dict[str, dict[str, Any]] = {}


def user_folder() -> Path:
    """Where the user's own profiles lie: ``~/.config/crowdbench``, or as ``XDG_CONFIG_HOME`` says."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "crowdbench"


def _files() -> Iterator[Path]:
    """Those of the user."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            yield folder / PROJECT_FILE
            break
    if (user_folder() / USER_FILE).is_file():
        yield user_folder() / USER_FILE


def _tables() -> tuple[dict[str, tuple[Mapping[str, Any], Path | None]], list[PluginError]]:
    """What is written under each name, and where; and which packages' files cannot be read.

    A launcher's own name stands for it without options.
    """
    found: dict[str, tuple[Mapping[str, Any], Path | None]] = {}
    own = [(path, _read(path)) for path in _files()]
    shipped = read_package_data("profiles/*.toml", lambda file: _read(file.path))
    for path, profiles in [*own, *((file.path, profiles) for file, profiles in shipped.files)]:
        for name, table in profiles.items():
            found.setdefault(name, (table, path))
    for launcher in plugins.installed("launcher"):
        found.setdefault(launcher, ({"launcher": launcher}, None))
    return found, list(shipped.faults.values())


def find_profile(name: str) -> Profile:
    """The profile of a name.

    Raises:
        UnknownNameError: there is no such profile.
        InputError: a file cannot be read, or a profile names no launcher.
    """
    known, faults = _tables()
    if name not in known:
        where = f"A profile stands under [profile.NAME] in {PROJECT_FILE} or {user_folder() / USER_FILE}."
        raise UnknownNameError(
            "launcher or profile",
            name,
            [LOCAL, *known],
            hint="\n".join([where, *map(str, faults)]),
        )
    return _profile(name, *known[name])


def _read(path: Path) -> dict[str, dict[str, Any]]:
    found = read_toml_as(path, _File, "a file of profiles", error=InputError).profile
    if LOCAL in found:
        raise InputError(f"{path}: no profile can be called {LOCAL!r}; that is this very process.")
    return found


def _profile(name: str, table: Mapping[str, Any], path: Path | None) -> Profile:
    options = dict(table)
    launcher = options.pop("launcher", None)
    if not isinstance(launcher, str):
        raise InputError(
            f'{path}: [profile.{name}] does not say which launcher, as in launcher = "NAME".\n'
            f"Installed: {', '.join(plugins.installed('launcher')) or 'none'}."
        )
    return Profile(name, launcher, options, path)
