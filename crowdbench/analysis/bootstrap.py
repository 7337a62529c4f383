"""Bootstrap over images: confidence intervals of AP, and of differences between two results.

Each resample draws as many images as there are, with replacement, and recomputes AP from matches made once.
Images are resampled, not persons, because the results of persons in one image are correlated.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench.errors import DataError, MachineError, MissingDataError, SettingsError
from crowdbench.run_store.run import Run
from crowdbench.scoring.averaging import average_precisions
from crowdbench.scoring.matching import Matches, match_run
from crowdbench.system.files.digests import file_digest
from crowdbench.system.files.reading import read_json
from crowdbench.system.files.writing import write_whole

log = logging.getLogger("crowdbench")

RESAMPLES = 1000
LEVEL = 0.95
FEWEST = 100
MOST = 1_000_000
FEWEST_IMAGES = 10
"""With fewer images, resampling is uninformative: docs/comparing.md has the measurement."""
FILE = "interval.json"

# Random numbers drawn at a time: 8 MB of int64.
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Interval:
    """A statistic with its confidence interval.

    Attributes:
        point: the statistic on all images, in [0, 1]; -1, like the bounds, if there are no persons.
        low, high: the bounds.
        level: the confidence level.
    """

    point: float
    low: float
    high: float
    level: float = LEVEL


@dataclass(frozen=True)
class Difference:
    """The difference in AP between two results files on the same images.

    Attributes:
        first, second: the AP of each, in [0, 1]; -1 if there are no persons.
        difference: first minus second; None if there are no persons.
        low, high: bounds of the difference; None also with fewer than 10 images.
        p: two-sided p-value, None likewise; never 0, as the number of resamples is finite.
    """

    first: float
    second: float
    difference: float | None
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True)
class Differences:
    """The differences between two results files.

    Attributes:
        overall: the difference over all images.
        levels: the differences by crowding level; empty if the protocol has none.
    """

    overall: Difference
    levels: dict[str, Difference]


def interval(matches: Matches, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL) -> Interval:
    """The AP of a results file with its confidence interval.

    Intervals are too narrow with few images, and meaningless with fewer than 10.

    Args:
        matches: the file's matches.
        resamples: the number of resamples.
        seed: the random seed; equal seeds give equal bounds.
        level: the confidence level.

    Raises:
        SettingsError: `resamples` or `level` is out of range.
    """
    _check(resamples, level)
    point = matches.average_precision()
    if point < 0:
        return Interval(point, point, point, level)
    (found,) = _distributions([matches], resamples, seed)[None]
    low, high = _bounds(found, level)
    return Interval(point, low, high, level)


def differences(
    first: Matches, second: Matches, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Differences:
    """Compare two results files on the same resamples.

    Swapping the files negates every difference exactly and leaves every p unchanged.

    Args:
        first, second: matches with the same persons.
        resamples, seed, level: as in `interval`.

    Returns:
        Differences over all images and by crowding level, from the same resamples.

    Raises:
        SettingsError: `resamples` or `level` is out of range.
        ValueError: the two are of different images.
    """
    _check(resamples, level)
    if first.image_ids != second.image_ids:
        raise ValueError("the two results are of different images and cannot be resampled together")
    found = _distributions([first, second], resamples, seed, first.levels)
    overall = _difference(first, second, found[None], level)
    levels = {
        name: _difference(first.of_level(name), second.of_level(name), found[name], level)
        for name in first.levels
    }
    return Differences(overall, levels)


def _difference(first: Matches, second: Matches, drawn: FloatArray, level: float) -> Difference:
    one, other = first.average_precision(), second.average_precision()
    if one < 0:
        return Difference(one, other, None, None, None, None)
    if len(first.image_ids) < FEWEST_IMAGES:
        return Difference(one, other, one - other, None, None, None)
    by = drawn[0] - drawn[1]
    by = by[~np.isnan(by)]
    # The rarer sign, with one added to both counts as if the data were one more resample.
    rarer = min(np.count_nonzero(by <= 0), np.count_nonzero(by >= 0))
    p = min(1.0, 2 * (int(rarer) + 1) / (len(by) + 1))
    return Difference(one, other, one - other, *_bounds(by, level), p)


def _distributions(
    files: Sequence[Matches], resamples: int, seed: int, levels: Sequence[str] = ()
) -> dict[str | None, FloatArray]:
    """``(files, resamples)``: AP of every file in every resample, overall and by level; NaN if no persons."""
    images = len(files[0].image_ids)
    chosen: dict[str | None, NDArray[np.bool_]] = {None: np.ones(images, dtype=bool)}
    chosen |= {name: files[0].image_levels == position for position, name in enumerate(levels)}
    of_level = {name: [file if name is None else file.of_level(name) for file in files] for name in chosen}
    found: dict[str | None, FloatArray] = {
        name: np.empty((len(files), resamples), dtype=np.float64) for name in chosen
    }
    done = 0
    for weights in draws(images, resamples, seed):
        rows = slice(done, done + len(weights))
        done = rows.stop
        for name, mask in chosen.items():
            for file, values in zip(of_level[name], found[name], strict=True):
                values[rows] = average_precisions(file.ranking, weights[:, mask])
    for values in found.values():
        values[values < 0] = np.nan
    return found


def draws(images: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each image is drawn, in chunks ``(n, images)`` whose size does not affect the draws."""
    generator = np.random.default_rng(seed)
    rows = max(1, _AT_ONCE // max(1, images))
    for begin in range(0, resamples, rows):
        count = min(rows, resamples - begin)
        drawn = generator.integers(images, size=(count, images)) if images else np.empty((count, 0), int)
        drawn += images * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images)


def _bounds(drawn: FloatArray, level: float) -> tuple[float, float]:
    """The percentile interval; negating the numbers negates it exactly."""
    drawn = np.sort(drawn[~np.isnan(drawn)])
    place = (len(drawn) - 1) * (1 - level) / 2
    at, part = int(place), place - int(place)
    beyond = min(at + 1, len(drawn) - 1)
    low = drawn[at] + (drawn[beyond] - drawn[at]) * part
    high = drawn[-1 - at] + (drawn[-1 - beyond] - drawn[-1 - at]) * part
    return float(low), float(high)


def _check(resamples: int, level: float) -> None:
    if not 0 < level < 1:
        raise SettingsError(f"the level of an interval must be between 0 and 1, got {level}.")
    if resamples < FEWEST:
        raise SettingsError(
            f"resamples must be at least {FEWEST}, got {resamples}: bounds of 95 % need the tails."
        )
    if resamples > MOST:
        raise SettingsError(
            f"resamples can be at most {MOST:,}, got {resamples:,}: more would only use memory."
        )


@dataclass(frozen=True)
class _Stored:
    """The content of ``interval.json``: statistics in [0, 1], and the SHA-256 of the predictions."""

    AP: float
    low: float
    high: float
    level: float
    resamples: int
    seed: int
    predictions: str


def stored_interval(run: Run, compute: bool = True) -> Interval | None:
    """The interval of a run's AP, stored with the run.

    Args:
        run: a finished and scored run.
        compute: compute and store the interval if it is missing or of other predictions. Otherwise a stored
            interval is trusted if its AP is the run's: hashing thousands of predictions is slow.

    Returns:
        None if the run is not done, has no scores, or has fewer than 10 images.

    Raises:
        InputError: the interval has to be computed, but the dataset is missing or has changed.
    """
    scored = (run.scores or {}).get("AP")
    if run.record.state != "done" or scored is None or run.record.protocol.images < FEWEST_IMAGES:
        return None
    stored = _read(run)
    if stored is not None and abs(stored.AP - scored) > 1e-9:
        stored = None
    if not compute:
        return _as_interval(stored) if stored is not None else None
    if not run.predictions_file.is_file():
        raise MissingDataError(
            f"{run.predictions_file}: there are no predictions to compute the interval from.\n"
            "Run the same command again with --again."
        )
    digest = file_digest(run.own_predictions())
    if stored is not None and stored.predictions == digest:
        return _as_interval(stored)
    found = interval(match_run(run))
    stored = _Stored(found.point, found.low, found.high, found.level, RESAMPLES, 0, digest)
    try:
        write_whole(run.directory / FILE, msgspec.json.format(msgspec.json.encode(stored)) + b"\n")
    except MachineError as error:
        log.warning("the interval is not stored: %s", error)
    return found


def _as_interval(stored: _Stored) -> Interval:
    return Interval(stored.AP, stored.low, stored.high, stored.level)


def _read(run: Run) -> _Stored | None:
    try:
        return read_json(run.directory / FILE, _Stored, "an interval")
    except DataError:
        return None  # missing or damaged
