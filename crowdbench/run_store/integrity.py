"""Whether what lies in a run's directory is what the run wrote; asked of thousands of runs at a time."""

import os
from collections.abc import Iterable
from datetime import datetime

import msgspec

from crowdbench.errors import DataError, MissingDataError, PredictionError
from crowdbench.run_store.run import PREDICTIONS, Run
from crowdbench.system.files.reading import read_json
from crowdbench.system.text import plain

# Clocks of file servers differ, and a record is written a moment after its last time.
_MOMENT_S = 2.0


class _Scores(msgspec.Struct):
    values: dict[str, float]


def doubt_about(run: Run) -> str | None:
    """Why a finished run's scores cannot be believed, in a line; None if nothing speaks against them.

    Files that have not been touched since the run are known by their size alone; the others are read.
    """
    record = run.record
    if record.predictions is None or record.finished is None:
        return None  # of a version that kept no digests
    try:
        until = datetime.fromisoformat(record.finished).timestamp() + _MOMENT_S
    except ValueError:
        until = 0.0
    try:
        status = os.stat(f"{run.directory}/{PREDICTIONS}")  # noqa: PTH116  (ten thousand)
        if status.st_size != record.predictions.bytes or status.st_mtime > until:
            run.own_predictions()
        about = os.stat(f"{run.directory}/run.json")  # noqa: PTH116
        # A time of modification can be set; that of the last change of the file's entry cannot.
        edited = max(about.st_mtime, about.st_ctime) > until
    except PredictionError as error:
        return str(error)
    except (OSError, DataError):
        return None  # predictions that were removed to save room: the scores stand
    return doubt_about_scores(run) if edited else None


def doubt_about_scores(run: Run) -> str | None:
    """Why the scores in a record cannot be believed, in a line: its ``scores.json`` says something else.

    That file may have been removed; one that cannot be read is a doubt.
    """
    path = run.directory / "scores.json"
    try:
        kept = read_json(path, _Scores, "scores").values
    except MissingDataError:
        return None
    except DataError as error:
        return plain(str(error))
    if run.record.scores is not None and run.record.scores != kept:
        return f"{run.directory}: run.json and scores.json have different scores; one of them was edited."
    return None


def believed(runs: Iterable[Run]) -> tuple[list[Run], list[str]]:
    """Runs about which there is no doubt, and the doubts about the others."""
    kept, doubts = [], []
    for run in runs:
        is_scored = run.record.state == "done" and run.record.scores
        doubt = doubt_about(run) if is_scored else None
        if doubt is None:
            kept.append(run)
        else:
            doubts.append(f"left out: {doubt}")
    return kept, doubts
