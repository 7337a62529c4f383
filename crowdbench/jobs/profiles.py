"""Profiles: under one name, a launcher and its options, as in ``--on a100``.

    [profile.a100]
    launcher = "slurm"
    partition = "gpu"

A name is looked up in ``crowdbench.toml`` of the working directory or the nearest parent that has one, then
in ``profiles.toml`` of the user's configuration, then in ``profiles/*.toml`` of installed packages. A profile
may have the name of a launcher; it then sets the launcher's defaults.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

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
        name: the profile's name.
        launcher: the name of an installed launcher.
        options: interpreted by the launcher.
        file: the file that defines it; None for a launcher without options.
    """

    name: str
    launcher: str
    options: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None


class _File(msgspec.Struct):
    profile: dict[str, dict[str, Any]] = {}


def user_folder() -> Path:
    """The folder of the user's profiles: on Linux ``~/.config/crowdbench``, or in ``$XDG_CONFIG_HOME``."""
    return platformdirs.user_config_path("crowdbench")


def _files() -> Iterator[Path]:
    """The user's own files of profiles, in the order of the look-up."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            yield folder / PROJECT_FILE
            break
    if (user_folder() / USER_FILE).is_file():
        yield user_folder() / USER_FILE


def _tables() -> tuple[dict[str, tuple[Mapping[str, Any], Path | None]], list[PluginError]]:
    """Each name's table and file, and the packages' files that cannot be read."""
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
            "launcher or profile", name, [LOCAL, *known], hint="\n".join([where, *map(str, faults)])
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
