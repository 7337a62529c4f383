"""The git state of code that is in a repository."""

import os
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_S = 2.0


@dataclass(frozen=True)
class Revision:
    """The checked-out revision.

    Attributes:
        commit: its full name.
        modified: whether the code differs from it, including new files; None if git does not answer in time.
    """

    commit: str
    modified: bool | None


def revisions_of(places: Iterable[Path]) -> dict[Path, Revision]:
    """The revisions of folders and files; of what is in no repository, or ignored by its own, none."""
    groups: dict[Path, list[Path]] = defaultdict(list)
    for place in places:
        repository = next((above for above in place.parents if (above / ".git").exists()), None)
        if repository is not None:
            groups[repository].append(place)
    found = {}
    for repository, inside in groups.items():
        found.update(_revisions_in(repository, inside))
    return found


def _revisions_in(repository: Path, places: Sequence[Path]) -> dict[Path, Revision]:
    names = {place: place.relative_to(repository).as_posix() for place in places}
    commit = _said(repository, "rev-parse", "HEAD")
    if not commit:
        return {}
    tracked = _said(repository, "ls-files", "-z", "--", *names.values())
    changes = _said(
        repository,
        "status",
        "--porcelain",
        "--untracked-files=all",
        "--no-renames",
        "-z",
        "--",
        *names.values(),
    )
    changed = None if changes is None else [entry[3:] for entry in changes.split("\0")]
    return {
        place: Revision(commit, None if changed is None else _any_in(name, changed))
        for place, name in names.items()
        if tracked is None or _any_in(name, tracked.split("\0"))
    }


def _any_in(name: str, files: Iterable[str]) -> bool:
    return any(file == name or file.startswith(f"{name}/") for file in files)


def _said(repository: Path, *arguments: str) -> str | None:
    # Looking must not write: no locks, and nothing that the repository would have run.
    command = ["git", "--literal-pathspecs", "-C", str(repository), "-c", "core.fsmonitor=false", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            env=environment,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
