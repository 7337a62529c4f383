"""Find a dataset's splits on disk."""

from dataclasses import dataclass
from pathlib import Path

from crowdbench.api.dataset import dataset_class, find_split
from crowdbench.coco.dataset import CocoFormatDataset
from crowdbench.errors import MissingDataError, SettingsError


@dataclass(frozen=True)
class SplitOnDisk:
    """A split whose annotation file was found.

    Attributes:
        dataset: the dataset's class.
        split: one of its splits.
        root: the dataset's folder.
        annotations: the annotation file.
    """

    dataset: type[CocoFormatDataset]
    split: str
    root: Path
    annotations: Path

    @property
    def annotated(self) -> bool:
        """Whether the split has ground truth."""
        return self.split not in self.dataset.unannotated_splits


def splits_on_disk(name: str, root: Path | None = None, split: str | None = None) -> list[SplitOnDisk]:
    """The splits of a dataset that are there.

    Args:
        name: the dataset, as ``crowdbench datasets`` lists it.
        root: the dataset's folder; None looks where the loader looks.
        split: None for all that are there.

    Raises:
        UnknownNameError: no such dataset or split.
        SettingsError: the dataset does not keep its annotations in COCO's format.
        MissingDataError: the split asked for, or any split, is not there; lists the places looked at.
    """
    cls = dataset_class(name)
    if not issubclass(cls, CocoFormatDataset):
        raise SettingsError(
            f"{name} does not keep its annotations in COCO's format, so it cannot be checked."
        )
    if split is not None:
        find_split(name, split)
        return [SplitOnDisk(cls, split, *cls.find(split, root))]
    found = []
    for candidate in cls.splits:
        try:
            found.append(SplitOnDisk(cls, candidate, *cls.find(candidate, root)))
        except MissingDataError:
            continue
    if not found:
        cls.find(cls.default_split, root)  # raises, with all the places
    return found
