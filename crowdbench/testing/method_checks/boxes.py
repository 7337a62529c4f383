"""Check that a method uses boxes as its paradigm requires."""

import numpy as np

from crowdbench.api.types import FloatArray
from crowdbench.testing.outcome import Check, Failed, Outcome, Passed
from crowdbench.testing.subject import MethodSubject, keypoints_of

_WHY = (
    "runs with ground-truth boxes, with a detector's boxes and without boxes are compared as different "
    "protocols; a method that uses boxes otherwise than it says stands in the wrong table."
)


def check_boxes(subject: MethodSubject) -> Outcome:
    """Top-down: one pose or none for a box, found in that box. Others: boxes change nothing."""
    return _follow_boxes(subject) if subject.has_boxes else _ignore_boxes(subject)


def _follow_boxes(subject: MethodSubject) -> Outcome:
    scene = subject.ordinary
    subject.require_answers()
    singles = [scene.only([row]) for row in range(len(scene.boxes))]
    answers = [subject.answer(subject.sample(single)) for single in singles]
    most = max(len(poses) for poses in answers)
    if most > 1:
        return Failed(
            "at most one pose for one box",
            f"{most} poses where one person of {len(scene.boxes)} in the picture was asked for",
            _WHY,
        )
    found = {row: poses[0].keypoints[:, :2] for row, poses in enumerate(answers) if poses}
    if len(found) < 2:
        return Passed("fewer than two boxes are answered, so poses cannot be compared")
    first = next(iter(found.values()))
    if all(np.allclose(first, other) for other in found.values()):
        return Failed("poses that depend on their boxes", "the same pose for every box", _WHY)
    own = _own_share(found, scene.boxes)
    if own < 0.75:
        return Failed(
            "poses that lie near their own boxes",
            f"in {own:.0%} of the pairs of boxes a pose is nearer to its own box than to the other; "
            "50% would be chance",
            _WHY,
        )
    return Passed(f"in {own:.0%} of the pairs of boxes a pose is nearer to its own")


def _own_share(found: dict[int, FloatArray], boxes: FloatArray) -> float:
    rows = list(found)
    middles = np.array([np.median(pose, axis=0) for pose in found.values()])
    centres = boxes[rows, :2] + (boxes[rows, 2:] - 1) / 2
    distances = np.linalg.norm(middles[:, None] - centres[None], axis=2)  # pose, box
    nearer = np.diag(distances)[:, None] < distances
    return float(nearer.sum() / (len(rows) * (len(rows) - 1)))


def _ignore_boxes(subject: MethodSubject) -> Outcome:
    scene = subject.small[0]
    count = subject.method.keypoints.count
    subject.require_answers()
    given, without = (
        keypoints_of(subject.answer(subject.sample(asked)), count) for asked in (scene, scene.only([]))
    )
    if given.shape != without.shape or not np.array_equal(given, without):
        return Failed(
            "the same poses whether the sample has boxes or not: the method is not top-down",
            f"{len(given)} poses with boxes and {len(without)} without, which differ",
            _WHY,
        )
    return Passed()


CHECKS = (Check("boxes", "does the method use boxes as its paradigm says?", check_boxes, _WHY),)
