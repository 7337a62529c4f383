"""How far AP may be off because these images were measured and not others: the bootstrap over images.

Images are drawn with replacement, as many as there are, again and again; each time AP itself is computed
anew, from matches made once. Images are drawn, not persons: persons of one image succeed and fail together.
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
"""On fewer, no choice of images tells anything about others: docs/comparing.md has the measurement."""
FILE = "interval.json"

# Numbers drawn at a time: 8 MB of int64.
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Interval:
    """A statistic, and between which numbers it lies.

    Attributes:
        point: on the images as they are, in [0, 1]; -1, as the bounds, where there is no person to find.
        low, high: bounds.
        level: how often intervals made like this one contain the truth.
    """

    point: float
    low: float
    high: float
    level: float = LEVEL


@dataclass(frozen=True)
class Difference:
    """By how much one results file is better than another on the same images.

    Attributes:
        first, second: AP of both, in [0, 1]; -1 where there is no person to find.
        difference: first minus second; None where there is no person to find.
        low, high: bounds of the difference; None on fewer than 10 images as well.
        p: likewise; two-sided: how often a difference as large comes about by the choice of images alone, if
            there is none; never 0, as finitely many choices cannot show that.
    """

    first: float
    second: float
    difference: float | None
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True)
class Differences:
    """All that two results files differ by.

    Attributes:
        overall: over all images.
        levels: by crowding level; empty where the protocol has none.
    """

    overall: Difference
    levels: dict[str, Difference]


def interval(matches: Matches, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL) -> Interval:
    """The AP of a results file, and its bounds.

    They are too narrow on few images, and on fewer than 10 they mean nothing.

    Args:
        matches: of the file.
        resamples: how many times images are drawn.
        seed: of the draws; equal seeds give equal bounds.
        level: how often intervals made like this one should contain the truth.

    Raises:
        SettingsError: too few resamples, or a level that is none.
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
    """Compare two results files on the same draws of images.

    With the files in the other order every difference has the other sign, to the last bit, and every p is
    the same.

    Args:
        first, second: matches with the same persons.
        resamples, seed, level: as in `interval`.

    Returns:
        Over all images and by crowding level. A level's images are those of the same draws.

    Raises:
        SettingsError: too few resamples, or a level that is none.
        ValueError: the two are not of the same images.
    """
    _check(resamples, level)
    if first.image_ids != second.image_ids:
        raise ValueError("the two results are of different images, which cannot be drawn for both at once")
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
    # How often the sign is another one, on either side; one more of each, as if the data were one draw.
    rarer = min(np.count_nonzero(by <= 0), np.count_nonzero(by >= 0))
    p = min(1.0, 2 * (int(rarer) + 1) / (len(by) + 1))
    return Difference(one, other, one - other, *_bounds(by, level), p)


def _distributions(
    files: Sequence[Matches], resamples: int, seed: int, levels: Sequence[str] = ()
) -> dict[str | None, FloatArray]:
    """AP of every file in every draw, ``(files, resamples)``: over all images, then by level.

    NaN where a draw has no person to find.
    """
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
    """How often each image is drawn, ``(some, images)`` at a time, `resamples` in all.

    The draws depend on the three numbers only, not on how many come at a time.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, _AT_ONCE // max(1, images))
    for begin in range(0, resamples, rows):
        count = min(rows, resamples - begin)
        drawn = generator.integers(images, size=(count, images)) if images else np.empty((count, 0), int)
        drawn += images * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images)


def _bounds(drawn: FloatArray, level: float) -> tuple[float, float]:
    """The interval between percentiles; of the negated numbers it is the negated one, to the last bit."""
    drawn = np.sort(drawn[~np.isnan(drawn)])
    place = (len(drawn) - 1) * (1 - level) / 2
    at, part = int(place), place - int(place)
    beyond = min(at + 1, len(drawn) - 1)
    low = drawn[at] + (drawn[beyond] - drawn[at]) * part
    high = drawn[-1 - at] + (drawn[-1 - beyond] - drawn[-1 - at]) * part
    return float(low), float(high)


def _check(resamples: int, level: float) -> None:
    if not 0 < level < 1:
        raise SettingsError(f"the level of an interval lies between 0 and 1, got {level}.")
    if resamples < FEWEST:
        raise SettingsError(
            f"resamples must be at least {FEWEST}, got {resamples}: bounds of 95 % need the tails."
        )
    if resamples > MOST:
        raise SettingsError(
            f"resamples can be at most {MOST:,}, got {resamples:,}: more fill the memory and say nothing new."
        )


@dataclass(frozen=True)
class _Stored:
    """All of ``interval.json``: statistics in [0, 1], and the SHA-256 of the predictions they are of."""

    AP: float
    low: float
    high: float
    level: float
    resamples: int
    seed: int
    predictions: str


def stored_interval(run: Run, compute: bool = True) -> Interval | None:
    """The interval of a run's AP, kept beside the run.

    Args:
        run: done and scored.
        compute: compute and store it if it is not there, or is of other predictions. Otherwise it is only
            read, and believed if it is of the run's own AP: hashing the predictions of thousands of runs
            takes long.

    Returns:
        None if there is none and none can be made: the run is not done, has no scores, or is on fewer than
        10 images.

    Raises:
        InputError: it has to be computed, and the dataset is not there or is another one.
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
            f"{run.predictions_file}: there are no predictions, so there is no interval of their AP.\n"
            "Start the run again with the same command and --again."
        )
    digest = file_digest(run.own_predictions())
    if stored is not None and stored.predictions == digest:
        return _as_interval(stored)
    found = interval(match_run(run))
    stored = _Stored(found.point, found.low, found.high, found.level, RESAMPLES, 0, digest)
    try:
        write_whole(run.directory / FILE, msgspec.json.format(msgspec.json.encode(stored)) + b"\n")
    except MachineError as error:
        log.warning("the interval is not kept: %s", error)
    return found


def _as_interval(stored: _Stored) -> Interval:
    return Interval(stored.AP, stored.low, stored.high, stored.level)


def _read(run: Run) -> _Stored | None:
    try:
        return read_json(run.directory / FILE, _Stored, "an interval")
    except DataError:
        return None  # not there, or damaged: as good as not there
