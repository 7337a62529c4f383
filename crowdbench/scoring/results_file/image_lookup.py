"""Find the image of each prediction in results files that name images instead of giving ids."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from crowdbench.scoring.results_file.columns import quoted
from crowdbench.scoring.results_file.image_names import ImageId, ImageNames
from crowdbench.scoring.results_file.predictions import Predictions


def located(found: Predictions, listed: Collection[ImageId], names: ImageNames, source: str) -> Predictions:
    """Predictions with the ids of their images.

    Args:
        found: as read.
        listed: the ids of the annotation file.
        names: its file names.
        source: the annotation file, for messages.

    Raises:
        PredictionError: an image is neither an id nor the name of one file, or a name belongs to another id.
    """
    ids = ids_of(found, listed, names)
    _require_known(found, ids, listed, names, source)
    require_agreement(found, ids, names, source)
    if ids == found.image_ids:
        return found
    return replace(found, image_ids=ids, warnings=(*note_of(found, ids, source), *found.warnings))


def note_of(found: Predictions, ids: Sequence[ImageId], source: str) -> tuple[str, ...]:
    """What to say where images were given by name; nothing where they were not."""
    first = next((i for i, image_id in enumerate(ids) if image_id != found.image_ids[i]), None)
    if first is None:
        return ()
    return (
        f"images are given by the names of their files; the ids are those of {source} "
        f"(the first: {found.image_ids[first]!r} is the image {ids[first]!r})",
    )


def ids_of(found: Predictions, listed: Collection[ImageId], names: ImageNames) -> list[ImageId]:
    """The image ids, where a name means one image its id; all others as they are."""
    known: dict[ImageId, ImageId] = {}
    for image_id in dict.fromkeys(found.image_ids):
        if isinstance(image_id, str) and image_id not in listed:
            meant = _meant(image_id, listed, names, found.ids_are_keys)
            known[image_id] = meant[0] if len(meant) == 1 else image_id
    return [known.get(image_id, image_id) for image_id in found.image_ids] if known else found.image_ids


def _meant(text: str, listed: Collection[ImageId], names: ImageNames, is_key: bool) -> list[ImageId]:
    meant = names.find(text)
    if is_key and text.isdecimal() and str(int(text)) == text and int(text) in listed:
        meant = list(dict.fromkeys([*meant, int(text)]))
    return meant


def _require_known(
    found: Predictions, ids: Sequence[ImageId], listed: Collection[ImageId], names: ImageNames, source: str
) -> None:
    faulty = [index for index, image_id in enumerate(ids) if image_id not in listed]
    if not faulty:
        return
    image_id = ids[faulty[0]]
    remedy = "Was the file made for another split or dataset? Engines drop such predictions or stop."
    reason = f"image_id {image_id!r} is not an image of {source}"
    if isinstance(image_id, str):
        several = _meant(image_id, listed, names, found.ids_are_keys)
        if several:
            raise found.table.fail(
                faulty,
                f"image_id {image_id!r} may be any of the images {quoted(several)} of {source}",
                "Write the id, or the file name with its folders and its extension.",
            )
        number = int(image_id) if image_id.isdecimal() and len(image_id) < 40 else None
        if number in listed:
            remedy = (
                "Its ids are numbers: write image_id without quotes."
                if str(number) == image_id
                else f"Its ids are numbers, and no file has this name: write {number}, without quotes."
            )
        elif all(isinstance(known, int) for known in listed):
            remedy = "It is not a file name there either. Was the file made for another split or dataset?"
    raise found.table.fail(faulty, reason, remedy)


def require_agreement(found: Predictions, ids: Sequence[ImageId], names: ImageNames, source: str) -> None:
    """See that ids and file names that stand side by side are of the same images.

    Args:
        found: as read.
        ids: of their images.
        names: of the annotation file.
        source: the annotation file, for messages.

    Raises:
        PredictionError: a name belongs to another id.
    """
    for index, name in enumerate(found.image_names):
        meant = names.find(name) if name is not None else []
        if meant and ids[index] not in meant:
            raise found.table.fail(
                [index],
                f"image_id is {ids[index]!r}, but its file {name!r} is the image {meant[0]!r} of {source}",
                "Ids of two files were mixed up: write the ids of the annotation file, or the names alone.",
            )
