"""Folders on the command line → runs."""

import logging
from collections.abc import Sequence
from pathlib import Path

from crowdbench.errors import MissingDataError
from crowdbench.run_directory import Run

log = logging.getLogger("crowdbench")


def runs_at(places: Sequence[Path]) -> list[Run]:
    """The runs that folders stand for: a run's own, or those under it that are done.

    Raises:
        MissingDataError: a folder is neither a run's nor holds one that is done.
    """
    found: dict[Path, Run] = {}
    for place in places:
        for run in _runs_of(place):
            found.setdefault(run.directory.resolve(), run)
    return list(found.values())


def _runs_of(place: Path) -> list[Run]:
    if (place / "run.json").is_file():
        return [Run.read(place)]
    # The folder of a method's runs, of a dataset's, of all.
    for pattern in ("*/run.json", "*/*/run.json", "*/*/*/run.json"):
        inside = [run for path in sorted(place.glob(pattern)) if (run := _done(path.parent))]
        if inside:
            return inside
    raise MissingDataError(
        f"{place}: no run here. Name the folder of a run, as `crowdbench run` shows it, or one that holds "
        "runs that are done."
    )


def _done(directory: Path) -> Run | None:
    try:
        run = Run.read(directory)
    except MissingDataError as error:
        log.warning("passed over: %s", error)
        return None
    return run if run.record.state == "done" else None
