"""Determine the keypoint order of predictions if the annotation file has its own order.

COCO's results format does not name keypoints: predictions follow the annotation file, but a system may have
used the dataset's usual order instead. Where the two differ, the fit to the persons decides.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from crowdbench.api.types import FloatArray
from crowdbench.scoring.results_file.columns import Rows


def put_in_order(
    predictions: Rows,
    images: Sequence[int],
    persons: Rows,
    person_images: Sequence[int],
    order: tuple[int, ...],
) -> tuple[Rows, str]:
    """Predictions with their keypoints in the protocol's order.

    Args:
        predictions: P rows of 3 K numbers.
        images: the image of each.
        persons: N rows of 3 K numbers, the annotated persons, in the protocol's order.
        person_images: the image of each.
        order: where in the file's order each of the protocol's keypoints stands.

    Returns:
        The rows, and a sentence that says how they were read: in the file's order, unless most of them are
        nearer to a person in the protocol's.
    """
    given = np.array(predictions, dtype=np.float64).reshape(len(predictions), len(order), 3)
    as_in_file = given[:, list(order)]
    if _nearer(given, as_in_file, images, np.array(persons, dtype=np.float64), person_images):
        return predictions, (
            "the annotation file names its keypoints in another order; the predictions fit its persons in "
            "the dataset's usual order, and are read in that one"
        )
    rows: Rows = as_in_file.reshape(len(predictions), -1).tolist()
    return rows, (
        "the annotation file names its keypoints in another order; the predictions are read in the file's "
        "order, too"
    )


def _nearer(
    one: FloatArray,
    other: FloatArray,
    images: Sequence[int],
    persons: FloatArray,
    person_images: Sequence[int],
) -> bool:
    """Whether more predictions are nearer to a person in the one order than in the other."""
    of_image = defaultdict(list)
    for row, image in enumerate(person_images):
        of_image[image].append(row)
    votes = 0
    persons = persons.reshape(len(persons), one.shape[1], 3)
    for row, image in enumerate(images):
        beside = persons[of_image[image]] if image in of_image else persons[:0]
        beside = beside[(beside[:, :, 2] > 0).any(axis=1)]
        if len(beside):
            votes += int(np.sign(_distance(other[row], beside) - _distance(one[row], beside)))
    return votes > 0


def _distance(pose: FloatArray, persons: FloatArray) -> float:
    """The mean distance of the labelled keypoints of the nearest person, in pixels."""
    labelled = persons[:, :, 2] > 0
    distances = np.hypot(*np.moveaxis(persons[:, :, :2] - pose[:, :2], 2, 0))
    return float((np.where(labelled, distances, 0).sum(axis=1) / labelled.sum(axis=1)).min())
