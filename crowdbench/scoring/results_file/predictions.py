"""Read a results file and check everything that does not need the annotations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from crowdbench.api.types import FloatArray, KeypointSet
from crowdbench.errors import PredictionError
from crowdbench.scoring.results_file import columns
from crowdbench.scoring.results_file.json_file import read_document, where_not_finite
from crowdbench.scoring.results_file.styles import Restyled, plain_data, which_may_be_meant

_ENTRY = "Each prediction needs image_id, category_id, keypoints [x1, y1, c1, ...] and score."


class _Entry(msgspec.Struct, gc=False):
    image_id: int
    category_id: int
    keypoints: list[float]
    score: float
    bbox: list[float] | None = None
    file_name: str | None = None


_DECODER = msgspec.json.Decoder(list[_Entry])


@dataclass(frozen=True, eq=False)
class Predictions:
    """P predicted persons in file order.

    Attributes:
        table: the records, for messages.
        image_ids: P ids as the file has them; where it names images instead, their names.
        image_names: P file names that stand beside an id, None where there is none; or empty.
        ids_are_keys: some ids were keys of an object, where numbers cannot stand without quotes.
        category_ids: P ids.
        keypoints: P rows of 3 K numbers, x, y in image pixels and a confidence that OKS does not use.
        scores: ``(P,)`` float64, rank the predictions.
        boxes: P rows of x, y, width, height in image pixels; None if the file has no boxes.
        warnings: what is legal but probably not meant, and the notes.
        notes: what was read in another way than it is written.
    """

    table: columns.ColumnTable
    image_ids: list[int | str]
    category_ids: list[int]
    keypoints: columns.Rows
    scores: FloatArray
    boxes: columns.Rows | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    image_names: Sequence[str | None] = ()
    ids_are_keys: bool = False


def read_predictions(given: Path | Sequence[Mapping[str, Any]], keypoints: KeypointSet) -> Predictions:
    """Read and check predictions in COCO results format, or in a style that is the same in other words.

    Images may be given by name; `crowdbench.scoring.results_file.image_lookup.located` finds their ids.

    Args:
        given: a file of JSON or JSON lines, gzipped or not, or the entries themselves.
        keypoints: the set that the predictions must follow.

    Raises:
        MissingDataError: there is no such file.
        PredictionError: an entry cannot be scored; names the file, the entry and the remedy.
    """
    if isinstance(given, Path):
        document, source = read_document(given, PredictionError, _DECODER, lines=True), str(given)
        if _is_typed(document) and not _are_of_length(document, 3 * keypoints.count):
            # Fields that the typed decoder passes over may have the rest of the numbers.
            document = read_document(given, PredictionError, msgspec.json.Decoder(), lines=True)
    else:
        document, source = _from_memory(given), "the given list"
    style = None
    if not _is_typed(document):
        style = Restyled(document, source)
        document = style.entries
    table = columns.table(
        *(document, source, "predictions", PredictionError, "image_id"),
        where_not_finite=partial(where_not_finite, given, PredictionError)
        if isinstance(given, Path)
        else None,
    )
    if not table.records:
        return _none(table)
    entry = _ENTRY if style is None else _ENTRY + which_may_be_meant(table.records[0])
    image_ids = columns.identifiers(table, "image_id", entry)
    category_ids = columns.integers(table, "category_id", entry)
    poses = columns.rows(table, "keypoints", *_layout(table, keypoints))
    scores = columns.numbers(table, "score", entry)
    boxes = _boxes(table)
    warnings = _warnings(image_ids, poses, scores)
    names = table.column("file_name") if style is None else style.names
    return Predictions(
        *(table, image_ids, category_ids, poses, scores, boxes),
        warnings=warnings if style is None else (*style.notes, *warnings),
        notes=() if style is None else tuple(style.notes),
        image_names=names if any(names) else (),
        ids_are_keys=style is not None and style.by_key,
    )


def _is_typed(document: Any) -> bool:
    """Whether a document is in the results format."""
    return isinstance(document, list) and (not document or type(document[0]) is _Entry)


def _are_of_length(entries: list[_Entry], length: int) -> bool:
    return {len(entry.keypoints) for entry in entries} <= {length}


def _from_memory(given: object) -> Any:
    try:
        return plain_data(given)
    except RecursionError:
        raise PredictionError(
            "the given list: lists or objects are nested too deeply for predictions."
        ) from None


def _none(table: columns.ColumnTable) -> Predictions:
    warning = "there are no predictions: every statistic with persons to find is 0"
    return Predictions(table, [], [], [], np.empty(0), None, (warning,))


def _layout(table: columns.ColumnTable, keypoints: KeypointSet) -> tuple[int, str, str]:
    needed = 3 * keypoints.count
    found = table.column("keypoints")[0]
    if found is None:
        return needed, "", _ENTRY + ("" if table.is_typed else which_may_be_meant(table.records[0]))
    length = len(found) if isinstance(found, list | tuple) else needed
    remedy = f"Write all {keypoints.count} keypoints of every prediction, those that were not found too."
    if length == 2 * keypoints.count:
        remedy = (
            "These look like x, y pairs; add a confidence after each pair (any finite number; 1 will do)."
        )
    elif length != needed and length and length % 3 == 0:
        remedy = (
            f"{length // 3} keypoints: the predictions may have been made for another dataset. If so, "
            "--keypoints common scores the keypoints that both have."
        )
    return needed, f"{keypoints.count} keypoints x (x, y, confidence)", remedy


def _boxes(table: columns.ColumnTable) -> columns.Rows | None:
    column = table.column("bbox")
    if column.count(None) == len(column):
        return None
    has_box = [box is not None and box != [] for box in column]
    if not any(has_box):
        return None
    table.require(
        has_box,
        lambda i: "bbox is missing, but other predictions have one",
        "The area of a prediction comes from its box or from its keypoints, by one rule for the whole file: "
        "give all predictions a bbox, or none.",
    )
    boxes = columns.rows(table, "bbox", 4, "x, y, width, height", "Correct the box, or leave out all boxes.")
    table.require(
        (box[2] >= 0 and box[3] >= 0 for box in boxes),
        lambda i: f"bbox {boxes[i]} has a negative width or height",
        "A box is x, y, width, height, not two corners.",
    )
    return boxes


def _warnings(image_ids: list[int | str], keypoints: columns.Rows, scores: FloatArray) -> tuple[str, ...]:
    # A cheap look first: repetitions begin alike.
    ranks = scores.tolist()
    beginnings = (map(itemgetter(at), keypoints) for at in range(2))
    if len(set(ranks)) == len(ranks) or len(set(zip(ranks, *beginnings, strict=True))) == len(ranks):
        return ()
    first: dict[tuple[object, ...], int] = {}
    repeats = [
        (index, original)
        for index, entry in enumerate(zip(image_ids, ranks, map(tuple, keypoints), strict=True))
        if (original := first.setdefault(entry, index)) != index
    ]
    if not repeats:
        return ()
    index, original = repeats[0]
    return (
        f"{len(repeats)} of {len(scores)} predictions repeat another one exactly, score included (the first: "
        f"predictions[{index}] is predictions[{original}], image_id {image_ids[index]!r}); each repetition "
        "counts as a false positive, as in the official tools: remove it unless the method means it",
    )
