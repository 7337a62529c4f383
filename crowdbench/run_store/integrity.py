"""Check that a run's files are those the run wrote; fast enough for thousands of runs."""

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
    """Why a finished run's scores cannot be trusted, in one line; None if there is no reason.

    Of files that were not modified since the run, only the size is checked; the others are read.
    """
    record = run.record
    if record.predictions is None or record.finished is None:
        return None  # an old version, which recorded no digests
    try:
        until = datetime.fromisoformat(record.finished).timestamp() + _MOMENT_S
    except ValueError:
        until = 0.0
    try:
        status = os.stat(f"{run.directory}/{PREDICTIONS}")  # noqa: PTH116  (ten thousand)
        if status.st_size != record.predictions.bytes or status.st_mtime > until:
            run.own_predictions()
        about = os.stat(f"{run.directory}/run.json")  # noqa: PTH116
        # mtime can be set by programs, ctime cannot.
        edited = max(about.st_mtime, about.st_ctime) > until
    except PredictionError as error:
        return str(error)
    except (OSError, DataError):
        return None  # predictions were removed to save space; the scores stay valid
    return doubt_about_scores(run) if edited else None


def doubt_about_scores(run: Run) -> str | None:
    """Why the scores in a record cannot be trusted: ``scores.json`` has others, or is unreadable."""
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
    """The runs that can be trusted, and the reasons against the others."""
    kept, doubts = [], []
    for run in runs:
        is_scored = run.record.state == "done" and run.record.scores
        doubt = doubt_about(run) if is_scored else None
        if doubt is None:
            kept.append(run)
        else:
            doubts.append(f"left out: {doubt}")
    return kept, doubts
