"""Reopen from a run's record the data that the run was scored on."""

from pathlib import Path

from crowdbench.api.boxes import NoBoxes
from crowdbench.api.dataset import (
    Dataset,
    dataset_class,
    load_dataset,
    parse_crowding_split,
    require_ground_truth,
)
from crowdbench.errors import InputError
from crowdbench.run_store.record import Protocol
from crowdbench.run_store.run import Run
from crowdbench.scoring.problem import Problem, read_problem
from crowdbench.system.files.digests import file_digest


def reopen_dataset(protocol: Protocol, root: Path | None = None, annotations: Path | None = None) -> Dataset:
    """Open the split that a run was measured on, without boxes.

    Args:
        protocol: of the run.
        root: the dataset's folder, if it is not where datasets are looked for.
        annotations: an annotation file instead of the split's own.

    Raises:
        UnknownNameError: no such dataset is installed.
        MissingDataError: its files are not there.
        InputError: its annotations are not those of the run.
    """
    cls = dataset_class(protocol.dataset)
    drawn = None if protocol.split in cls.splits else parse_crowding_split(protocol.split)
    split = drawn[0] if drawn else protocol.split
    if drawn and split in cls.splits and root is None and annotations is None:
        dataset = cls.at_crowding(drawn[1], split, NoBoxes())
    else:
        dataset = load_dataset(
            protocol.dataset, split=split, root=root, boxes=NoBoxes(), annotations=annotations
        )
    require_annotations(protocol, dataset)
    return dataset if protocol.keypoints is None else dataset.on_keypoints(protocol.keypoints)


def require_annotations(protocol: Protocol, dataset: Dataset) -> None:
    """Raise InputError if the annotation file is not the one that the run was measured on."""
    digest = file_digest(dataset.annotation_file)
    if digest != protocol.annotations:
        raise InputError(
            f"{dataset.annotation_file}: SHA-256 {digest[:12]}..., but the run on {protocol.dataset} "
            f"{protocol.split} was measured on {protocol.annotations[:12]}...\n"
            "Name the run's own file with --annotations, or its dataset's folder with --root."
        )


def load_run_problem(run: Run, dataset: Dataset | None = None) -> Problem:
    """A run's predictions, joined with the ground truth that they were scored against.

    Args:
        run: with its predictions.
        dataset: that it was measured on; None opens it again.

    Raises:
        MissingDataError: there are no predictions, or the dataset's files are not there.
        InputError: the dataset is another one, or its ground truth is not public.
        AnnotationError, PredictionError: a file cannot be scored, or is not what the run wrote.
    """
    protocol = run.record.protocol
    predictions = run.own_predictions()
    if dataset is None:
        dataset = reopen_dataset(protocol)
    else:
        require_annotations(protocol, dataset)
    require_ground_truth(dataset, "Use a run on another split.")
    images = None
    if not protocol.complete:
        images = [dataset[index].image_id for index in range(protocol.images)]
    return read_problem(
        predictions, dataset.annotation_file, dataset.protocol, images, in_protocols_order=True
    )
