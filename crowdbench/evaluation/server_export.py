"""Pack a finished run as the archive that a dataset's evaluation server accepts."""

import io
import re
import zipfile
from collections import defaultdict
from dataclasses import dataclass

import msgspec
import numpy as np

from crowdbench.api.dataset import dataset_class
from crowdbench.api.server_file import ServerFile
from crowdbench.errors import InputError, UnknownNameError
from crowdbench.run_store.record import extent_of_run
from crowdbench.run_store.run import Run
from crowdbench.scoring.results_file.predictions import Predictions, read_predictions

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal runs give equal archives


class _Entry(msgspec.Struct):
    """What a server takes of a person, and nothing else."""

    image_id: int
    category_id: int
    keypoints: list[float]
    score: float


@dataclass(frozen=True)
class Archive:
    """An archive for a server.

    Attributes:
        name: of the file.
        data: its content.
        predictions: how many persons are in it.
        left_out: how many are not: those that are not among an image's best.
        form: what the server takes.
    """

    name: str
    data: bytes
    predictions: int
    left_out: int
    form: ServerFile


def server_form(dataset: str, name: str) -> ServerFile:
    """Return the file format of a dataset's evaluation server.

    Args:
        dataset: the dataset's name.
        name: the server's, as in ``--for``.

    Raises:
        InputError: the dataset has no server.
        UnknownNameError: it has none of this name.
    """
    known = dataset_class(dataset).server_files
    if not known:
        raise InputError(
            f"{dataset} has no evaluation server that is known here; its ground truth is public."
        )
    if name not in known:
        raise UnknownNameError(f"server of {dataset}", name, known)
    return known[name]


def archive_for(run: Run, server: str, algorithm: str | None = None) -> Archive:
    """Pack a run for a server.

    Args:
        run: finished, on all images of a split that the server scores.
        server: the server's name.
        algorithm: the name in the file's name; None takes the method's.

    Raises:
        InputError: the server would refuse the run, or score something else than what was run.
        DataError: the predictions are not those that the run wrote.
    """
    record, protocol = run.record, run.record.protocol
    form = server_form(protocol.dataset, server)
    _require_whole(run, form)
    algorithm = record.method.replace("_", "-") if algorithm is None else algorithm
    if not _NAME.fullmatch(algorithm):
        raise InputError(
            f"{algorithm!r} cannot be a part of the file's name: letters, digits, dots and hyphens, a letter "
            "or digit first. Give another with --name."
        )
    found = read_predictions(run.own_predictions(), dataset_class(protocol.dataset).protocol.keypoints)
    entries = _entries(found, form)
    name = form.name.format(split=protocol.split, algorithm=algorithm)
    return Archive(
        f"{name}.zip", _zipped(f"{name}.json", entries), len(entries), len(found.scores) - len(entries), form
    )


def _require_whole(run: Run, form: ServerFile) -> None:
    record, protocol = run.record, run.record.protocol
    where = f"{protocol.dataset} {protocol.split}"
    if record.state != "done":
        raise InputError(
            f"{run.directory}: the run is {record.state}, not done. Run the same command again to resume it."
        )
    if protocol.split not in form.images:
        raise InputError(
            f"{run.directory}: a run on {where}; the server scores {', '.join(form.images)}.\n"
            f"Run the method with --split {next(iter(form.images))}."
        )
    if protocol.keypoints is not None:
        raise InputError(
            f"{run.directory}: its predictions have {len(protocol.keypoints)} common keypoints only, and the "
            "server scores all. Run the method without --keypoints."
        )
    images, own = form.images[protocol.split], extent_of_run(record).own
    if own is not None:
        raise InputError(
            f"{run.directory}: a run on custom annotations{f' ({own})' if own else ''}, "
            f"not on {where} as it is published, which is what the server scores."
        )
    if not protocol.complete or protocol.images != images:
        raise InputError(
            f"{run.directory}: a run of {protocol.images} images; {where} has {images}, and the "
            "server scores all. Run the method on the whole split."
        )


def _entries(found: Predictions, form: ServerFile) -> list[_Entry]:
    """The best predictions of each image, in the order of the file."""
    of_image: dict[int | str, list[int]] = defaultdict(list)
    for position, image_id in enumerate(found.image_ids):
        of_image[image_id].append(position)
    kept: list[int] = []
    for positions in of_image.values():
        # Stable, as scoring takes them: of equal scores the earlier.
        order = np.argsort(-found.scores[positions], kind="stable")[: form.per_image]
        kept += [positions[place] for place in order]
    return [_entry(found, position, form) for position in sorted(kept)]


def _entry(found: Predictions, position: int, form: ServerFile) -> _Entry:
    points = np.reshape(np.array(found.keypoints[position], dtype=np.float64), (-1, 3)).copy()
    points[:, :2] = points[:, :2].round(form.decimals)
    points[:, 2] = form.confidence
    keypoints = [int(value) if value.is_integer() else value for value in points.ravel().tolist()]
    image_id = found.image_ids[position]
    if not isinstance(image_id, int):
        raise InputError(f"the server takes images by number; {image_id!r} is none.")
    return _Entry(image_id, form.category_id, keypoints, float(found.scores[position]))


def _zipped(name: str, entries: list[_Entry]) -> bytes:
    target = io.BytesIO()
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(info, msgspec.json.encode(entries))
    return target.getvalue()


def is_archive(content: bytes) -> bool:
    """Whether a file is an archive that `archive_for` could have made: one file of results."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            return (
                len(names) == 1 and archive.infolist()[0].date_time == _EPOCH and names[0].endswith(".json")
            )
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return False
