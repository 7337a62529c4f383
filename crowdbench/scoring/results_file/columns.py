"""One field of many records as a column: fast checks, and errors that name the record at fault.

Records from the typed decoder hold finite values of the right types, and only their lengths are checked. All
other records are checked value by value.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench.coco.rules.values import kind, shown
from crowdbench.errors import DataError

Rows = list[list[float]]
"""Lists of numbers, all of one length. Engines take lists; arrays would be converted twice."""

_FORMAT = "docs/metrics.md describes the format."


@dataclass(frozen=True)
class ColumnTable:
    """A list of records of a file, and how errors speak of them.

    Attributes:
        records: the objects, in file order; msgspec structs if the typed decoder has read them.
        source: the file, as errors name it.
        name: the list, as errors name it: ``predictions`` gives ``predictions[17]``.
        error: the kind of error to raise.
        identity: the field that helps a reader to find a record.
        where_not_finite: says where in the file the first number stands that is not finite.
    """

    records: Sequence[Any]
    source: str
    name: str
    error: type[DataError]
    identity: str
    where_not_finite: Callable[[], str] | None = None

    @property
    def is_typed(self) -> bool:
        """Whether the typed decoder has read the records."""
        return bool(self.records) and isinstance(self.records[0], msgspec.Struct)

    def column(self, field: str) -> list[Any]:
        """A field of every record, None where it is missing."""
        if self.is_typed:
            return list(map(attrgetter(field), self.records))
        return [record.get(field) for record in self.records]

    def fail(self, faulty: Sequence[int], reason: str, remedy: str) -> DataError:
        """The error about the first of the faulty records; says how many more there are."""
        index = faulty[0]
        record = self.records[index]
        where = ""
        if isinstance(record, Mapping | msgspec.Struct) and self.identity not in reason.split():
            where = f" ({self.identity} {self.column(self.identity)[index]!r})"
        more = f" The same holds for {len(faulty) - 1} more." if len(faulty) > 1 else ""
        return self.error(f"{self.source}: {self.name}[{index}]{where}: {reason}.{more}\n{remedy}")

    def require(
        self, fine: Iterable[bool] | NDArray[np.bool_], reason: Callable[[int], str], remedy: str
    ) -> None:
        """Raise about the records that are not fine."""
        if isinstance(fine, np.ndarray) and fine.all():
            return
        faulty = [index for index, is_fine in enumerate(fine) if not is_fine]
        if faulty:
            raise self.fail(faulty, reason(faulty[0]), remedy)


def table(
    value: Any,
    source: str,
    name: str,
    error: type[DataError],
    identity: str,
    where_not_finite: Callable[[], str] | None = None,
) -> ColumnTable:
    """Check that a value is a list of objects; raises `error` if it is not."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise error(f"{source}: {name} must be a list of objects, found {kind(value)}.\n{_FORMAT}")
    found = ColumnTable(value, source, name, error, identity, where_not_finite)
    if not found.is_typed:
        entries = [isinstance(record, Mapping) for record in value]
        if not all(entries):
            index = entries.index(False)
            raise error(
                f"{source}: {name}[{index}] must be an object, found {kind(value[index])}.\n{_FORMAT}"
            )
    return found


def values(of: ColumnTable, field: str, remedy: str) -> list[Any]:
    """A field of every record, of any type; raises the table's error if it is missing or null."""
    column = of.column(field)
    # Where there may be arrays, `in` would compare them element by element.
    if None in column if of.is_typed else any(value is None for value in column):
        of.require((value is not None for value in column), lambda i: f"{field} is missing or null", remedy)
    return column


def numbers(of: ColumnTable, field: str, remedy: str) -> FloatArray:
    """``(N,)`` float64, a field that holds one finite number in every record."""
    column = values(of, field, remedy)
    if not of.is_typed:
        of.require(
            map(_is_number, column),
            lambda i: f"{field} must be a number, found {shown(column[i])}",
            "Write a plain number, without quotes.",
        )
    array = np.array(column if of.is_typed else [_float(value) for value in column], dtype=np.float64)
    of.require(
        np.isfinite(array),
        lambda i: f"{field} is {shown(column[i])}, which is not finite{_place(of)}",
        "Engines disagree on where NaN and infinity rank. Find out where it comes from.",
    )
    return array


def integers(of: ColumnTable, field: str, remedy: str) -> list[int]:
    """A field that holds a whole number in every record, of any size; 123.0 is read as 123."""
    column = values(of, field, remedy)
    if of.is_typed:
        return column
    of.require(
        map(_is_whole, column),
        lambda i: f"{field} must be a whole number, found {shown(column[i])}",
        remedy,
    )
    return [int(value) for value in column]


def identifiers(of: ColumnTable, field: str, remedy: str) -> list[int | str]:
    """Like `integers`, but strings are identifiers too."""
    column = values(of, field, remedy)
    if of.is_typed:
        return column
    of.require(
        (isinstance(value, str) or _is_whole(value) for value in column),
        lambda i: f"{field} must be a whole number or a string, found {shown(column[i])}",
        remedy,
    )
    return [value if isinstance(value, str) else int(value) for value in column]


def rows(of: ColumnTable, field: str, length: int, unit: str, remedy: str, strings: bool = False) -> Rows:
    """A field that holds a list of finite numbers in every record.

    Args:
        of: the records.
        field: the field.
        length: how many numbers each list must have.
        unit: explains the length in errors, as in ``14 keypoints x (x, y, v)``.
        remedy: what to do about a missing or wrong field.
        strings: numbers written as strings are read; otherwise they are an error.
    """
    column = values(of, field, remedy)
    if of.is_typed and set(map(len, column)) == {length}:
        return column
    of.require(
        (isinstance(row, list | tuple | np.ndarray) for row in column),
        lambda i: f"{field} must be a list of numbers, found {shown(column[i])}",
        remedy,
    )
    column = [row.tolist() if isinstance(row, np.ndarray) else row for row in column]
    of.require(
        (not any(isinstance(value, list | tuple) for value in row) for row in column),
        lambda i: f"{field} is a list of lists; it must be flat, with {length} numbers ({unit})",
        "Write [x1, y1, c1, x2, y2, c2, ...].",
    )
    of.require(
        (len(row) == length for row in column),
        lambda i: f"{field} has {len(column[i])} numbers, needs {length} ({unit})",
        remedy,
    )
    if strings:
        column = [[_from_string(value) for value in row] for row in column]

    def is_number(row: Sequence[Any]) -> bool:
        return all(map(_is_number, row))

    def is_finite(row: Sequence[float]) -> bool:
        return all(map(math.isfinite, row))

    of.require(map(is_number, column), lambda i: _at_fault(field, column[i], _is_number, "a number"), remedy)
    column = [[_float(value) for value in row] for row in column]
    of.require(
        map(is_finite, column),
        lambda i: _at_fault(field, column[i], math.isfinite, "finite") + _place(of),
        "Engines take NaN for a perfect match, or drop it silently. Find out where it comes from; if the "
        "keypoint is unknown, write any finite number.",
    )
    return column


def have_strings(of: ColumnTable, field: str) -> bool:
    """Whether a list field holds strings somewhere; expects that `rows` has passed."""
    return not of.is_typed and str in set(map(type, chain.from_iterable(of.column(field))))


def quoted(names: Collection[object], limit: int = 5) -> str:
    """A few names for a message, and how many more."""
    listed = ", ".join(repr(name) for name in list(names)[:limit])
    return listed + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _place(of: ColumnTable) -> str:
    found = "" if of.where_not_finite is None else of.where_not_finite()
    return f" ({found})" if found else ""


def _at_fault(field: str, row: Sequence[Any], is_fine: Callable[[Any], bool], wanted: str) -> str:
    position = next(position for position, value in enumerate(row) if not is_fine(value))
    return f"{field}[{position}] is {shown(row[position])}, which is not {wanted}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    if not _is_number(value):
        return False
    return isinstance(value, int | np.integer) or (math.isfinite(value) and float(value).is_integer())


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond the range of float64
        return math.inf


def _from_string(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def of_keypoints(keypoints: Rows, places: Sequence[int]) -> Rows:
    """Rows of 3 K numbers, cut to the keypoints at some places, in the order of these."""
    picked = [3 * place + part for place in places for part in range(3)]
    return [[row[index] for index in picked] for row in keypoints]
