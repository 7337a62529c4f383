"""Is what lies on disk what the benchmark expects?"""

from collections.abc import Callable, Iterator
from pathlib import Path

from crowdbench.boxes import NoBoxes
from crowdbench.coco_format import CocoFormatDataset
from crowdbench.datacheck.annotations import check_annotations, read_raw
from crowdbench.datacheck.finding import Finding, Severity
from crowdbench.datacheck.images import ImageFile, check_images, look_at_all
from crowdbench.dataset import dataset_class
from crowdbench.detections import Detections
from crowdbench.errors import DataError, MissingDataError, SettingsError, UnknownNameError

__all__ = ["Finding", "Severity", "check_split", "checkable", "digests", "splits_on_disk"]


def checkable(name: str) -> type[CocoFormatDataset]:
    """The class of a dataset that keeps its annotations in COCO's format.

    Raises:
        UnknownNameError: no such dataset.
        SettingsError: the dataset is of another kind.
    """
    cls = dataset_class(name)
    if not issubclass(cls, CocoFormatDataset):
        raise SettingsError(
            f"{name} does not keep its annotations in COCO's format, so it cannot be checked."
        )
    return cls


def splits_on_disk(
    cls: type[CocoFormatDataset], root: Path | None, split: str | None
) -> dict[str, tuple[Path, Path]]:
    """The dataset's folder and the annotation file to check, by split.

    Raises:
        UnknownNameError: no such split.
        MissingDataError: the split asked for, or any split, is not there; lists the places looked at.
    """
    if split is not None:
        if split not in cls.splits:
            raise UnknownNameError(f"split of {cls.name}", split, cls.splits)
        return {split: cls.find(split, root)}
    found = {}
    for candidate in cls.splits:
        try:
            found[candidate] = cls.find(candidate, root)
        except MissingDataError:
            continue
    if not found:
        cls.find(cls.default_split, root)
    return found


def check_split(
    cls: type[CocoFormatDataset],
    split: str,
    root: Path,
    annotations: Path,
    *,
    boxes: Path | None = None,
    shared: dict[str, str] | None = None,
    with_images: bool = True,
    on_image: Callable[[], None] = lambda: None,
) -> Iterator[Finding]:
    """Compare a split on disk with what the benchmark expects.

    Args:
        cls: the dataset.
        split: its split.
        root: the dataset's folder.
        annotations: the annotation file.
        boxes: a detector's results file to check as well.
        shared: files of other datasets by content digest (`digests`).
        with_images: whether to read every image.
        on_image: called after each image.

    Yields:
        Findings, as they are made.
    """
    faults = 0
    for finding in check_annotations(cls, split, annotations):
        faults += finding.severity == "error" and finding.kind != "count"
        yield finding
    loaded = None
    try:
        loaded = cls.open(split, root, NoBoxes(), annotations)
    except DataError as error:
        if not faults:
            yield Finding("error", "unreadable", str(annotations), "", str(error).replace("\n", " "))
    if boxes is not None:
        yield from _check_boxes(boxes, annotations)
    if not with_images:
        return
    sizes = {sample.image_id: (sample.width, sample.height) for sample in loaded} if loaded else {}
    images = _image_files(cls, split, root, annotations)
    yield from check_images(look_at_all(images, on_image), sizes, shared or {})


def digests(cls: type[CocoFormatDataset], split: str, root: Path, annotations: Path) -> dict[str, str]:
    """The readable images of a split by content: SHA-256 → file."""
    images = _image_files(cls, split, root, annotations)
    return {seen.digest: str(image.path) for image, seen in look_at_all(images, lambda: None) if seen.digest}


def _image_files(cls: type[CocoFormatDataset], split: str, root: Path, annotations: Path) -> list[ImageFile]:
    content, _ = read_raw(annotations)
    if content is None:
        return []
    files = []
    for image in content["images"]:
        if isinstance(image, dict) and isinstance(image.get("file_name"), str):
            path = cls.image_path(root, split, image["file_name"])
            files.append(
                ImageFile(image.get("id", -1), path, (image.get("width", 0), image.get("height", 0)))
            )
    return files


def _check_boxes(boxes: Path, annotations: Path) -> Iterator[Finding]:
    content, _ = read_raw(annotations)
    images = content["images"] if content else []
    ids: set[int] = {image["id"] for image in images if isinstance(image, dict) and "id" in image}
    try:
        found = Detections.read(boxes, ids)
    except DataError as error:
        yield Finding("error", "detections", str(boxes), "", str(error).replace("\n", " "))
        return
    without = sum(not found.of(identity, 1) for identity in ids)
    yield Finding("note", "detections", str(boxes), "", f"boxes on {len(ids) - without} of {len(ids)} images")
