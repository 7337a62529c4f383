"""Recompute a finished run in ``again/``; the old result stays until the new one is complete.

``again/`` looks like a run's directory. When its record says that it is done, its files take the place of
the old ones, the record last. A process that is killed in between leaves that record, and the next start goes
on from there; a reader who comes in between sees that record and predictions do not belong together.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from crowdbench.errors import InputError
from crowdbench.run_store.run import Run
from crowdbench.system.files.os_errors import writing
from crowdbench.system.files.writing import write_whole

FOLDER = "again"
_RESULT = ("predictions.json.gz", "scores.json")
_DERIVED = ("interval.json", "analysis.json", "complexity.json")


def place_of(directory: Path) -> Path:
    """Where a run is computed anew."""
    return directory / FOLDER


def is_unfinished(directory: Path) -> bool:
    """Whether a recomputation of a run was started and not finished."""
    return (place_of(directory) / "run.json").is_file()


def is_whole(directory: Path) -> bool:
    """Whether a new result is there that has not taken the old one's place yet."""
    return is_unfinished(directory) and _record(directory) is not None


def _record(directory: Path) -> Run | None:
    try:
        found = Run.read(place_of(directory))
    except InputError:
        return None
    return found if found.record.state == "done" else None


def put_in_place(directory: Path) -> None:
    """Let a new result take the place of the old one, if there is a whole one.

    One that has other predictions than the old one says so in its record: the id stands for equal ones.

    Raises:
        MachineError: it cannot be written; the new result stays where it is, and the next start goes on.
    """
    new = place_of(directory)
    found = _record(directory) if is_unfinished(directory) else None
    if found is None:
        return
    _note_difference(directory, found)
    with writing(directory):
        for name in ("parts", f"{FOLDER}/parts"):
            shutil.rmtree(directory / name, ignore_errors=True)
        for name in _DERIVED:
            (directory / name).unlink(missing_ok=True)
        for name in _RESULT:
            with suppress(FileNotFoundError):  # a start before this one has come so far
                (new / name).replace(directory / name)
        # A copy: until it is in its place, the one in `again/` says what is to be done.
        write_whole(directory / "run.json", (new / "run.json").read_bytes())
        (new / "run.json").unlink()
    shutil.rmtree(new, ignore_errors=True)


def _note_difference(directory: Path, new: Run) -> None:
    try:
        old = Run.read(directory).record
    except InputError:
        return
    before, now = old.predictions, new.record.predictions
    if old.state != "done" or before is None or now is None or before.sha256 == now.sha256:
        return
    said = (
        f"computed anew, it has other predictions than on {old.finished}, though nothing that is known to "
        "decide them has changed: are there random numbers, variables or files outside of its package that "
        "the method uses, or is this another machine?"
    )
    if said not in new.record.warnings:
        new.record.warnings.append(said)
        new.write_record()
