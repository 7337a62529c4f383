"""Convert the results formats of other tools to COCO's list, and report what was done.

Only the layout changes here: which list, which image, in what order numbers are. The meaning of a number is
never guessed: an entry without a score or a category stays without, for the checks that follow.
"""

from collections.abc import Mapping
from typing import Any

from crowdbench.coco.rules.values import kind
from crowdbench.errors import PredictionError
from crowdbench.scoring.results_file import columns

LISTS = ("predictions", "annotations", "results", "detections", "instances", "persons", "people", "bodies")
"""Fields of an object under which tools keep the list of predictions, or those of one image."""

NAMES = (
    *("file_name", "filename", "image_name", "image", "image_path", "image_file"),
    *("img_name", "img_path", "imgname", "img"),
)
"""Fields in which tools write the file name of a prediction's image."""

CONFIDENCES = ("keypoint_scores", "keypoints_scores", "keypoints_score", "keypoints_conf", "kpt_scores")
"""Fields in which tools write the K confidences apart from the K points."""

_FORMAT = (
    'Write the list itself: [{"image_id": ..., "category_id": 1, "keypoints": [...], "score": ...}, ...].'
)
_MOST_NESTED = 4


class Restyled:
    """Entries in one flat list.

    Attributes:
        entries: mappings, in file order; copies only where something was changed.
        names: the file name of each entry's image if it has one in addition to its ``image_id``; else None.
        by_key: some entries have their image from the key of an object, where ids are always strings.
        notes: what was read differently than written, in sentences.
    """

    def __init__(self, document: Any, source: str) -> None:
        """Arrange a decoded results file; raises PredictionError if no list of predictions is in it."""
        self.source = source
        self.notes: dict[str, None] = {}
        self.by_key = False
        found = self._list_of(document, 0)
        self.entries: Any = found
        self.names: list[str | None] = []
        if isinstance(found, list):
            arranged = [self._arranged(entry) for entry in self._flat(found)]
            self.entries = [entry for entry, _ in arranged]
            self.names = [name for _, name in arranged]

    def _note(self, text: str) -> None:
        self.notes.setdefault(text)

    def _list_of(self, document: Any, depth: int) -> Any:
        if isinstance(document, list | tuple):
            return list(document)
        if not isinstance(document, Mapping) or depth > _MOST_NESTED:
            return document
        if "keypoints" in document and not isinstance(document["keypoints"], Mapping):
            return [document]  # one line of JSON lines
        if "images" in document and _is_truth(document.get("annotations")):
            raise PredictionError(
                f"{self.source}: the file must be a list of predictions, found an object with images and "
                "annotations: this is an annotation file, not a results file.\nWere the two files exchanged?"
            )
        lists = [name for name in LISTS if isinstance(document.get(name), list | tuple | Mapping)]
        if len(lists) == 1:
            self._note(f"the list of predictions was read from {lists[0]!r} of an object")
            return self._list_of(document[lists[0]], depth + 1)
        if not lists and document and all(isinstance(value, list | Mapping) for value in document.values()):
            return self._by_image(document)
        fields = columns.quoted([*document]) or "nothing"
        several = f" {columns.quoted(lists)} could be the list." if lists else ""
        raise PredictionError(
            f"{self.source}: the file must be a list of predictions, found an object with {fields}."
            f"{several}\n{_FORMAT}"
        )

    def _by_image(self, document: Mapping[Any, Any]) -> list[Any]:
        """One list of an object whose keys are images."""
        self._note("the predictions are grouped by image; they were read as one list")
        entries: list[Any] = []
        for key, value in document.items():
            of_image = self._group(value)
            if of_image is None:
                raise PredictionError(
                    f"{self.source}: the file must be a list of predictions, found an object whose field "
                    f"{key!r} holds neither predictions nor an image's predictions.\n{_FORMAT}"
                )
            for entry in of_image:
                if not isinstance(entry, Mapping):
                    raise PredictionError(
                        f"{self.source}: {key!r} holds {kind(entry)}; each of an image's predictions "
                        f"must be an object.\n{_FORMAT}"
                    )
                if entry.get("image_id") is None and not any(name in entry for name in NAMES):
                    self.by_key = True
                    entries.append({**entry, "image_id": key})
                elif isinstance(key, str) and not any(name in entry for name in NAMES):
                    entries.append({**entry, "file_name": key})
                else:
                    entries.append(entry)
        return entries

    def _flat(self, found: list[Any]) -> list[Any]:
        """Entries out of lists of images."""
        if not any(isinstance(e, list | tuple) or self._is_group(e) for e in found):
            return found
        self._note("the predictions are grouped by image; they were read as one list")
        entries: list[Any] = []
        for element in found:
            of_image = self._group(element)
            if of_image is None:
                entries.append(element)
            elif isinstance(element, Mapping) and "keypoints" not in element:
                image = {k: v for k, v in element.items() if k in ("image_id", *NAMES)}
                entries += [{**image, **e} if isinstance(e, Mapping) else e for e in of_image]
            else:
                entries += of_image
        return entries

    @staticmethod
    def _is_group(element: Any) -> bool:
        return (
            isinstance(element, Mapping)
            and "keypoints" not in element
            and any(isinstance(element.get(name), list | tuple) for name in LISTS)
        )

    def _group(self, value: Any) -> list[Any] | None:
        """The predictions of one image, None if they cannot be identified."""
        if isinstance(value, list | tuple):
            return list(value)
        if self._is_group(value):
            return list(next(value[name] for name in LISTS if isinstance(value.get(name), list | tuple)))
        return [value] if isinstance(value, Mapping) and "keypoints" in value else None

    def _arranged(self, entry: Any) -> tuple[Any, str | None]:
        """An entry with the fields of the results format, and the name of its image's file."""
        if not isinstance(entry, Mapping):
            return entry, None
        changes: dict[str, Any] = {}
        field = next((name for name in NAMES if isinstance(entry.get(name), str | int)), None)
        name = None if field is None else entry[field]
        if field is not None and entry.get("image_id") is None:
            self._note(f"there is no image_id; images were read from {field!r}")
            changes["image_id"], name = name, None
        keypoints = self._keypoints(entry)
        if keypoints is not entry.get("keypoints"):
            changes["keypoints"] = keypoints
        return ({**entry, **changes} if changes else entry), (name if isinstance(name, str) else None)

    def _keypoints(self, entry: Mapping[str, Any]) -> Any:
        """One flat list, as far as that can be made of what is there."""
        found = entry.get("keypoints")
        if not isinstance(found, list | tuple) or not found:
            return found
        nested = all(isinstance(point, list | tuple) and len(point) in (2, 3) for point in found)
        if not nested and isinstance(found[0], list | tuple):
            return found
        confidences = next(
            ((name, entry[name]) for name in CONFIDENCES if isinstance(entry.get(name), list | tuple)), None
        )
        pairs = all(len(point) == 2 for point in found) if nested else False
        numbers = [number for point in found for number in point] if nested else found
        if confidences is not None and (pairs or not nested) and len(numbers) == 2 * len(confidences[1]):
            self._note(f"the confidences of keypoints were read from {confidences[0]!r}")
            merged = []
            for index, confidence in enumerate(confidences[1]):
                merged += [*numbers[2 * index : 2 * index + 2], confidence]
            return merged
        if nested:
            self._note("keypoints are written as lists of points; they were read as flat lists")
        return numbers


def _is_truth(annotations: Any) -> bool:
    return (
        isinstance(annotations, list)
        and bool(annotations)
        and isinstance(annotations[0], Mapping)
        and "score" not in annotations[0]
    )


def plain_data(document: Any) -> Any:
    """Convert arrays, tensors and numbers of other libraries to lists and numbers; raises PredictionError."""
    if isinstance(document, Mapping):
        return {key: plain_data(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        # Long lists of numbers are the usual case; they are not taken apart.
        if document and all(type(value) in (int, float) for value in document):
            return document
        return [plain_data(value) for value in document]
    if isinstance(document, str | bytes | int | float | bool | None):
        return document
    convert = getattr(document, "tolist", None)
    if convert is None or isinstance(document, type):
        return document
    try:
        return convert()
    except Exception as error:  # what another library has to say of its own kinds of tensors
        raise PredictionError(
            f"the given list: {kind(document)} cannot be turned into numbers ({error}).\n"
            "Give lists, NumPy arrays or dense tensors."
        ) from error


def which_may_be_meant(record: Mapping[str, Any]) -> str:
    """What to add to the remedy for entries that lack a field, from the fields that one has."""
    if "pose_keypoints_2d" in record or "joints" in record:
        return (
            " These entries are in OpenPose's style, which has other keypoints and no score: let the tool "
            "write COCO's style (AlphaPose: without --format)."
        )
    names = [name for name in record if "score" in name.lower() or name.lower() in ("confidence", "conf")]
    if "score" not in record and names:
        return (
            f" Of the fields that are there {columns.quoted(names)} may be meant: rename the one that ranks."
        )
    return ""
