"""The interface that a dataset implements: a split's images, its keypoints and its scoring protocol."""

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from crowdbench import plugins
from crowdbench.api.boxes import BoxSource, GroundTruthBoxes, box_source
from crowdbench.api.extent import Extent, SplitFacts, extent_of
from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.api.server_file import ServerFile
from crowdbench.api.types import KeypointSet, Sample
from crowdbench.errors import InputError, PluginError, SettingsError, UnknownNameError
from crowdbench.system.files.digests import file_digest
from crowdbench.system.plugin_calls import calling


class Dataset(ABC):
    """One split of a dataset, opened.

    A subclass sets the class attributes and finds its files in ``__init__``; opening reads annotations, never
    images. Adapters for COCO-format files derive from `crowdbench.coco.dataset.CocoFormatDataset`.

    Attributes:
        name: the dataset's name on the command line.
        server_files: the files that evaluation servers accept, by the names of ``crowdbench export --for``.
        split: the opened split.
        keypoints: the keypoints it labels.
        protocol: how it is scored.
        annotation_file: the file that scores are computed from.
        has_annotations: false for splits whose ground truth is not public.
        boxes: the source of the samples' boxes.
        corrections: corrections made while reading, as sentences for the record; grows as samples are read.
        warnings: implausible contents of the files, as sentences for the record.
        category_id: the category of persons in predictions and detections.
    """

    name: ClassVar[str]
    splits: ClassVar[tuple[str, ...]]
    default_split: ClassVar[str]
    server_files: ClassVar[Mapping[str, ServerFile]] = {}

    split: str
    keypoints: KeypointSet
    protocol: ScoringProtocol
    annotation_file: Path
    has_annotations: bool
    boxes: BoxSource
    corrections: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    category_id: int = 1

    @classmethod
    @abstractmethod
    def open(
        cls, split: str, root: Path | None, boxes: BoxSource, annotations: Path | None = None
    ) -> "Dataset":
        """Open a split.

        Args:
            split: one of `splits`.
            root: the dataset's folder; None looks in ``$CROWDBENCH_DATA/<name>``, then ``./data/<name>``.
            boxes: the source of boxes.
            annotations: an annotation file to use instead of the split's own.

        Raises:
            MissingDataError: there is no such file; lists the paths that were tried.
            AnnotationError: a file cannot be used.
        """

    @classmethod
    def at_crowding(cls, level: float, split: str, boxes: BoxSource) -> "Dataset":
        """Open a split with all images generated at one level of crowding, for datasets that draw scenes.

        Implementations name the opened split with `split_at_crowding`, so that runs of different levels, and
        of the ordinary split, stay apart.

        Args:
            level: 0 (everyone apart) to 1 (as crowded as the dataset gets).
            split: one of `splits`.
            boxes: the source of boxes.

        Raises:
            SettingsError: the dataset has no controlled crowding, or no such level.
        """
        raise SettingsError(
            f"{cls.name} has no controlled crowding; datasets that draw their own scenes have. "
            "Leave --crowding out."
        )

    def inputs_digest(self, count: int) -> str:
        """Return the SHA-256 of everything but pixels that predictions on the first images depend on.

        The default is the digest of the whole annotation file. An override may leave out what only scores
        depend on: if that changes, an earlier run is found and scored again.

        Args:
            count: the number of images.
        """
        return file_digest(self.annotation_file)

    @classmethod
    def explain_foreign_file(cls, content: Mapping[str, Any]) -> str | None:
        """Recognize a file in a format specific to this dataset that was passed as an annotation file.

        Args:
            content: the file's top level; its lists may be cut to the first entry.

        Returns:
            What the file is and which to use instead, in whole sentences; None if it is not known.
        """
        return None

    def on_keypoints(self, names: Sequence[str]) -> Self:
        """This opened split, scored on some of its keypoints only.

        Samples keep all labelled keypoints; predictions have the named ones, in the dataset's order.

        Args:
            names: keypoints of this dataset.
        """
        restricted = copy.copy(self)
        restricted.protocol = self.protocol.on_keypoints(names)
        restricted.keypoints = restricted.protocol.keypoints
        return restricted

    @classmethod
    def facts(cls, split: str, annotations: Path) -> SplitFacts:
        """Return what is known of the published split, and whether a file may be its annotations.

        With the number of images known, runs on fewer images or on other annotations can be told from runs on
        the whole split.

        Args:
            split: the split's name in records.
            annotations: an existing annotation file.
        """
        return SplitFacts()

    @classmethod
    def split_of(cls, annotations: Path) -> str:
        """The split whose published annotation file has this name; the default split where none has."""
        return next(
            (split for split in cls.splits if cls.is_named_like(split, annotations)), cls.default_split
        )

    @classmethod
    def is_named_like(cls, split: str, annotations: Path) -> bool:
        """Whether a file has a name that is usual for the annotations of a split."""
        return False

    def extent(self, images: int | None = None) -> Extent:
        """Return how much of the published split the opened images cover.

        Args:
            images: the number of images from the first; None for all.
        """
        count = len(self) if images is None else images
        return extent_of(type(self), self.split, self.annotation_file, images=count, listed=len(self))

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images, including those without persons."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Return the sample of an image by its position in the annotation file."""

    def image_paths(self, count: int) -> list[str]:
        """Return the files of the first `count` images, in order. Override this if there is a faster way."""
        return [str(self[index].path) for index in range(count)]

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def level_name(level: float) -> str:
    """Return the shortest decimal that stands for exactly this level of crowding."""
    return repr(float(level) + 0.0).removesuffix(".0")  # + 0.0: minus zero is zero


def split_at_crowding(split: str, level: float) -> str:
    """Return the name in records of a split that was opened with `Dataset.at_crowding`."""
    return f"{split}-crowding-{level_name(level)}"


def parse_crowding_split(name: str) -> tuple[str, float] | None:
    """Split a name made by `split_at_crowding` into split and level; None for any other name."""
    found = re.fullmatch(r"(.+)-crowding-([0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?)", name)
    return None if found is None else (found[1], float(found[2]))


def dataset_class(name: str) -> type[Dataset]:
    """Return the class of a dataset by name, without opening it."""
    found = plugins.load("dataset", name)
    if not (isinstance(found, type) and issubclass(found, Dataset)):
        raise PluginError(
            f"dataset {name!r} refers to {found!r}, which is not a subclass of crowdbench.Dataset."
        )
    splits = getattr(found, "splits", None)
    if not (isinstance(splits, tuple | list) and splits and all(isinstance(s, str) for s in splits)):
        raise PluginError(
            f"dataset {name!r}: {found.__name__}.splits must name its splits, and is {splits!r}."
        )
    if getattr(found, "default_split", None) not in splits:
        raise PluginError(f"dataset {name!r}: {found.__name__}.default_split must be one of its splits.")
    return found


def find_split(dataset: str, split: str | None) -> str:
    """Check the name of a split, None for the default; raises UnknownNameError."""
    cls = dataset_class(dataset)
    split = split or cls.default_split
    if split not in cls.splits:
        raise UnknownNameError(f"split of {dataset}", split, cls.splits)
    return split


def require_ground_truth(dataset: Dataset, remedy: str = "Choose another split.") -> None:
    """Raise InputError, with a remedy, unless the ground truth of an opened split is public."""
    if not dataset.has_annotations:
        raise InputError(
            f"{dataset.name} {dataset.split}: the ground truth of this split is not public.\n{remedy}"
        )


def load_dataset(
    name: str,
    *,
    split: str | None = None,
    root: str | Path | None = None,
    boxes: str | Path | BoxSource = GroundTruthBoxes(),  # noqa: B008  (frozen)
    annotations: str | Path | None = None,
) -> Dataset:
    """Open a split of an installed dataset.

    Args:
        name: as `crowdbench datasets` lists it.
        split: None takes the dataset's default, the one that papers report.
        root: the dataset's folder.
        boxes: ``"gt"``, ``"none"``, or a detector's results file (COCO detection JSON).
        annotations: an annotation file to use instead of the split's own.

    Raises:
        UnknownNameError: no such dataset or split.
        MissingDataError: its files are not there.
    """
    cls, split = dataset_class(name), find_split(name, split)
    source, file = box_source(boxes), Path(annotations) if annotations is not None else None
    with calling(f"dataset {name}", "open"):
        opened = cls.open(split, Path(root) if root is not None else None, source, file)
    _require_opened(opened, name)
    return opened


def _require_opened(opened: object, name: str) -> None:
    """See that what was opened says what crowdbench has to know of it."""
    if not isinstance(opened, Dataset):
        raise PluginError(f"dataset {name}: open must return a crowdbench.Dataset, not {opened!r}.")
    for attribute, kind in (
        ("keypoints", KeypointSet),
        ("protocol", ScoringProtocol),
        ("annotation_file", Path),
        ("split", str),
    ):
        found = getattr(opened, attribute, None)
        if not isinstance(found, kind):
            raise PluginError(
                f"dataset {name}: {attribute} of an opened split must be a {kind.__name__}, not {found!r}."
            )
