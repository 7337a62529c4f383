"""Check that a run has what it needs on this machine, without reading images or weights or importing torch.

Each function returns where a thing is, or raises an error that says what is missing and where it comes from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdbench import plugins
from crowdbench.api.boxes import NoBoxes
from crowdbench.api.dataset import Dataset, dataset_class, load_dataset
from crowdbench.api.load_method import load_method, method_class
from crowdbench.coco.dataset import CocoFormatDataset
from crowdbench.errors import CrowdbenchError, MissingDataError, UnknownNameError, WeightsError
from crowdbench.weights import Wanted, WeightsEntry, find_wanted, weights_table
from crowdbench.weights.cache import read_lock
from crowdbench.weights.table import read_tables


def require_method(name: str) -> None:
    """Check that a method is declared; whether it loads is seen when it runs.

    Raises:
        UnknownNameError: no package declares it.
        PluginError: two packages do.
    """
    declared = plugins.installed("method")
    if name not in declared:
        raise UnknownNameError("method", name, declared, hint="Install the package that has it.")
    plugin = declared[name]
    if not isinstance(plugin, plugins.Plugin):
        raise plugin


def find_annotations(dataset: str, split: str, root: Path | None) -> Path:
    """The annotation file of a split whose images are there too.

    A dataset in COCO's format is looked up; any other, and one that draws its own data, is opened.

    Raises:
        InputError: no such dataset or split, or its files are missing.
    """
    cls = dataset_class(dataset)
    if not issubclass(cls, CocoFormatDataset):
        return load_dataset(dataset, split=split, root=root, boxes=NoBoxes()).annotation_file
    try:
        home, annotations = cls.find(split, root)
    except MissingDataError:
        return load_dataset(dataset, split=split, root=root, boxes=NoBoxes()).annotation_file
    folders = [home / place.format(split=split) for place in cls.image_folders]
    if not any(folder.is_dir() for folder in folders):
        raise MissingDataError(
            f"{dataset}: the annotations of {split} are there, the images are not. Looked for\n"
            + _listing(folders)
        )
    return annotations


def find_detections(dataset: str, root: Path | None, file: str, origin: Sequence[str]) -> Path:
    """Find a file of detections in its usual place in the dataset's folder.

    Args:
        dataset: the dataset's name.
        root: its folder, if the user names one.
        file: the path relative to the folder.
        origin: pages that offer the file.

    Raises:
        MissingDataError: it is in none of the folders; lists them, and the pages.
    """
    places = [folder / file for folder in _roots(dataset_class(dataset), dataset, root)]
    for place in places:
        if place.is_file():
            return place
    pages = f"\nIt comes from\n{_listing(origin)}" if origin else ""
    raise MissingDataError(f"{dataset}: no file of detections. Looked for\n{_listing(places)}{pages}")


def _roots(cls: type[Dataset], dataset: str, root: Path | None) -> list[Path]:
    if issubclass(cls, CocoFormatDataset):
        return cls.roots(root)
    return [root if root is not None else Path("data") / dataset]


def _listing(lines: Sequence[object]) -> str:
    return "\n".join(f"  {line}" for line in lines)


@dataclass(frozen=True)
class WeightsStatus:
    """What is known of weights before they are read.

    Attributes:
        source: as in records: an entry's name, a URL, a path, or ``"none"``.
        path: the file's present or future path; None for random weights.
        sha256: as published, or as locked when the file was first seen; None if unknown.
        url: where a program can fetch it.
        by_hand: how the user can fetch it.
    """

    source: str
    path: Path | None = None
    sha256: str | None = None
    url: str | None = None
    by_hand: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether nothing has to be fetched."""
        return self.path is None or self.path.is_file()

    @property
    def how_to_get(self) -> str:
        """Which file is missing and where it comes from."""
        origin = self.url or self.by_hand or "nowhere that is known"
        return f"{self.source}: not at {self.path}\nIt comes from {origin}"


def find_weights(
    asked: str, *, method: str, dataset: str, settings: Mapping[str, Any] | None = None
) -> WeightsStatus:
    """Resolve ``--weights`` without downloading or reading anything.

    Args:
        asked: ``"published"``, ``"none"``, the name of an entry, a URL, or a path.
        method, dataset: for ``"published"``.
        settings: those of the run that differ from the published ones.

    Raises:
        WeightsError: nothing, or more than one file, is published for this.
    """
    if asked == "none":
        return WeightsStatus("none")
    try:
        found = _published(method, dataset, settings or {}) if asked == "published" else find_wanted(asked)
    except WeightsError:
        if asked == "published" and _takes_none(method):
            return WeightsStatus("none needed")
        raise
    if found is None:
        return WeightsStatus(asked, Path(asked))
    wanted = found if isinstance(found, Wanted) else Wanted.of_entry(found)
    lock = read_lock(wanted)
    digest = wanted.sha256 or (lock.sha256 if lock else None)
    return WeightsStatus(wanted.name, wanted.path, digest, wanted.url, wanted.by_hand)


def _takes_none(method: str) -> bool:
    """Whether a method takes no weights; only its class knows, and one that cannot be had says nothing."""
    try:
        return not method_class(method).takes_weights
    except CrowdbenchError:
        return False


def _published(method: str, dataset: str, settings: Mapping[str, Any]) -> WeightsEntry:
    entries = [
        entry
        for entry in weights_table().values()
        if entry.is_whole and (entry.method, entry.dataset) == (method, dataset)
    ]
    if len(entries) > 1:
        size = _input_size(method, dataset, settings)
        entries = [entry for entry in entries if entry.input_size in (None, size)]
    if len(entries) != 1:
        read_tables().require_answer("published", method)
        raise WeightsError(
            f"{len(entries) or 'no'} files of weights are published for {method} on {dataset} with these "
            "settings. `crowdbench weights list` shows what there is."
        )
    return entries[0]


def _input_size(method: str, dataset: str, settings: Mapping[str, Any]) -> tuple[int, ...] | None:
    """(height, width): as given, or as published, which only the method itself knows; then it is imported."""
    given = settings.get("input_size")
    if isinstance(given, list | tuple):
        return tuple(given)
    size: tuple[int, ...] | None = getattr(
        load_method(method, dataset, **settings).settings, "input_size", None
    )
    return size
