"""Which runs an argument on the command line refers to; all commands share these rules.

An argument is a path (a run's folder, its record or predictions, or a folder of runs) or a name, which is
looked up among all runs: an id, a job, ``method/dataset`` or ``method/dataset-split``, a method, or a prefix
of an id. The first of these that matches any run is used.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from crowdbench.errors import DataError, InputError, MissingDataError
from crowdbench.run_store import recomputation
from crowdbench.run_store.run import Run
from crowdbench.run_store.scan import JOBS, find_runs
from crowdbench.system.files.reading import read_json
from crowdbench.system.text import plain

log = logging.getLogger("crowdbench")

T = TypeVar("T")
RUN_FILES = ("run.json", "predictions.json.gz", "scores.json", "log.txt")
_SHOWN = 10


@dataclass(frozen=True)
class Called:
    """What a run, or a job, can be called by.

    Attributes:
        id: of the run; empty before it has one.
        job: the name of its job; empty without one.
        method, dataset: of both; `split` is empty where it is not known.
    """

    id: str = ""
    job: str = ""
    method: str = ""
    dataset: str = ""
    split: str = ""


_KINDS: tuple[Callable[[str, Called], bool], ...] = (
    lambda word, called: word == called.id,
    lambda word, called: word == called.job,
    lambda word, called: word in _of_a_dataset(called),
    lambda word, called: word == called.method,
    lambda word, called: called.id.startswith(word),
)


def _of_a_dataset(called: Called) -> set[str]:
    return {f"{called.method}/{called.dataset}", f"{called.method}/{called.dataset}-{called.split}"}


def named(word: str, candidates: Iterable[T], called: Callable[[T], Called]) -> list[T]:
    """The candidates that a word names.

    Args:
        word: no path.
        candidates: runs, or what stands for them.
        called: what one of them is called.
    """
    all_called = [(candidate, called(candidate)) for candidate in candidates]
    for kind in _KINDS if word else ():
        found = [candidate for candidate, names in all_called if kind(word, names)]
        if found:
            return found
    return []


def runs_of(words: Sequence[str | Path], out: Path = Path("runs")) -> list[Run]:
    """All runs that words name; where a word may mean several, those that are done. Each is listed once.

    Args:
        words: paths and names.
        out: the folder of all runs, where names are looked for.

    Raises:
        MissingDataError: a word names no run, or none that is done.
    """
    found: dict[Path, Run] = {}
    for word in words:
        candidates = _meant(word, out)
        chosen = (
            candidates if is_run(Path(word)) else [run for run in candidates if run.record.state == "done"]
        )
        if not chosen:
            raise MissingDataError(
                f"{word}: no run here is done. Found:\n{_listing(candidates)}\n"
                "Run the same commands again to resume them."
            )
        for run in chosen:
            found.setdefault(run.directory.resolve(), run)
    return list(found.values())


def run_of(word: str | Path, out: Path = Path("runs")) -> Run:
    """The one run that a word names.

    Of several the one that is done; where none is, or it is the only one, the run may be in any state.

    Args:
        word: a path or a name.
        out: the folder of all runs, where names are looked for.

    Raises:
        MissingDataError: there is no such run.
        InputError: several runs could be meant; lists them.
    """
    candidates = _meant(word, out)
    done = [run for run in candidates if run.record.state == "done"] or candidates
    if len(done) == 1:
        return done[0]
    raise InputError(f"{word}: {len(done)} runs could be meant. Name one:\n{_listing(done)}")


def is_run(path: Path) -> bool:
    """Whether a path is that of one run: its folder, or a file in it that the run wrote."""
    if path.name in RUN_FILES and path.is_file():
        path = path.parent
    return (path / "run.json").is_file()


def _meant(word: str | Path, out: Path) -> list[Run]:
    """The runs that a word may mean, in any state; at least one."""
    path = Path(word)
    if is_run(path):
        return [Run.read(path.parent if path.is_file() else path)]
    if path.is_file():
        raise MissingDataError(
            f"{path}: a file, and not one of a run. Name the run's folder, its id or its method."
        )
    found = _inside(path) if path.is_dir() else []
    name = str(word).rstrip("/")
    if not found and name not in ("", "."):
        found = named(name, find_runs(out), _called) or _of_job(out, name) or _inside(out / name)
    if found:
        return found
    if path.is_dir():
        raise MissingDataError(
            f"{path}: no run here. Name the folder of a run, as `crowdbench run` shows it, or one "
            "that holds runs."
        )
    raise MissingDataError(
        f"{word}: there is no such folder or file, and under {out} no run of that id, job "
        "or method.\n`crowdbench status --all` lists all runs, `crowdbench leaderboard` those that are done."
    )


def _called(run: Run) -> Called:
    record = run.record
    return Called(record.id, "", record.method, record.protocol.dataset, record.protocol.split)


def _inside(folder: Path) -> list[Run]:
    """The runs in a folder: that of a method, of a dataset, of all, or of a job."""
    if any((folder / name).is_file() for name in ("job.json", "state.json")):
        return _of_state(folder / "state.json")
    for pattern in ("*/run.json", "*/*/run.json", "*/*/*/run.json"):
        places = [path.parent for path in sorted(folder.glob(pattern))]
        found = [run for place in places if place.name != recomputation.FOLDER and (run := _read(place))]
        if found:
            return found
    return []


def _of_job(out: Path, name: str) -> list[Run]:
    folder = out / JOBS / name
    return _of_state(folder / "state.json") if "/" not in name and folder.is_dir() else []


class _JobState(msgspec.Struct):
    """What is asked of a job's ``state.json`` (`crowdbench.jobs.job`): the directories it works in."""

    runs: list[str] = []


def _of_state(path: Path) -> list[Run]:
    try:
        state = read_json(path, _JobState, "the state of a job")
    except DataError:
        return []
    return [run for directory in state.runs if (run := _read(Path(directory)))]


def _read(directory: Path) -> Run | None:
    try:
        return Run.read(directory)
    except MissingDataError as error:
        log.warning("passed over: %s", plain(str(error)))
        return None


def _listing(runs: Sequence[Run]) -> str:
    lines = [f"  {run.directory} ({run.record.state})" for run in runs[:_SHOWN]]
    return "\n".join([*lines, *([f"  and {len(runs) - _SHOWN} more"] if len(runs) > _SHOWN else [])])
