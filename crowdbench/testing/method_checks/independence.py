"""Check that the poses of an image depend on nothing but the image."""

import numpy as np

from crowdbench.api.method import Method
from crowdbench.api.types import Pose, Sample
from crowdbench.testing.outcome import Check, Failed, Inapplicable, Outcome, Passed
from crowdbench.testing.pose_difference import changed, equal
from crowdbench.testing.scenes import Scene
from crowdbench.testing.subject import MethodSubject

# Batches of another size are computed in another order. That changes last bits, and last bits move the
# largest of many nearly equal numbers, in a few keypoints.
_JUMPS = 0.1

_WHY_BATCH = "the score would change with the batch size, and with which images happen to be neighbours."
_WHY_STATE = "a run that is continued or repeated would give other numbers than one in a single piece."


def _asked(subject: MethodSubject) -> list[Scene]:
    return [*subject.small[:2], subject.ordinary.only([0, 5])]


def check_batch_composition(subject: MethodSubject) -> Outcome:
    """Images alone and images together."""
    subject.require_answers()
    samples = [subject.sample(scene) for scene in _asked(subject)]
    alone = [poses[0] for poses in subject.run([[sample] for sample in samples])]
    together = subject.run([samples])[0]
    share, words = changed(alone, together, subject.method.keypoints.count)
    if share > _JUMPS:
        return Failed("the same poses for an image alone and in a batch with others", words, _WHY_BATCH)
    return Passed(words if share else "")


def check_batch_order(subject: MethodSubject) -> Outcome:
    """A batch forwards and backwards."""
    subject.require_answers()
    samples = [subject.sample(scene) for scene in _asked(subject)]
    forwards, backwards = subject.run([samples])[0], subject.run([samples[::-1]])[0][::-1]
    share, words = changed(forwards, backwards, subject.method.keypoints.count)
    if share > _JUMPS:
        return Failed("the same poses whatever the order of the images in a batch", words, _WHY_BATCH)
    return Passed(words if share else "")


def check_state(subject: MethodSubject) -> Outcome:
    """An image, another one, and the first again; and the other one by a method that has seen nothing."""
    subject.require_answers()
    first, second = (subject.sample(scene) for scene in subject.small[:2])

    def asked(method: Method, *samples: Sample) -> list[list[Pose]]:
        found: list[list[Pose]] = []
        network = subject.built_network(method)
        for sample in samples:
            found += subject.run([[sample]], method=method, network=network)[0]
        return found

    before, between, after = asked(subject.fresh_method(), first, second, first)
    (alone,) = asked(subject.fresh_method(), second)
    count = subject.method.keypoints.count
    for wanted, got, said in (
        (before, after, "an image gave one answer before another image, and another one after it"),
        (alone, between, "an image gave one answer as the first, and another one after a different image"),
    ):
        if not equal(wanted, got):
            return Failed(
                "bit for bit the same poses of an image, whatever was seen before",
                f"{said}: {changed([wanted], [got], count)[1]}",
                _WHY_STATE,
            )
    return Passed()


def check_determinism(subject: MethodSubject) -> Outcome:
    """The same image by the same method, built twice, with other global random numbers."""
    subject.require_answers()
    sample = subject.sample(subject.small[0])
    found: list[list[Pose]] = []
    for seed in (1, 2):
        method = subject.fresh_method()
        network = subject.built_network(method)
        found += subject.run([[sample]], method=method, network=network, seed=seed)[0]
    if not equal(*found):
        return Failed(
            "bit for bit the same poses from the same image, settings, weights and seed",
            f"two runs differ: {changed([found[0]], [found[1]], subject.method.keypoints.count)[1]}",
            "published numbers could not be reproduced, not even by their authors.",
        )
    return Passed()


def check_input_unchanged(subject: MethodSubject) -> Outcome:
    """The array that `estimate` is given belongs to crowdbench."""
    method = subject.method
    own = type(method)
    if own.estimate_sample is not Method.estimate_sample or hasattr(method, "prepare"):
        return Inapplicable("crowdbench does not call the method's estimate")
    subject.require_answers()
    sample = subject.sample(subject.small[0])
    image, boxes = sample.read(), sample.boxes_xywh if subject.has_boxes else np.empty((0, 4))
    copies = image.copy(), boxes.copy()
    method.estimate(image, boxes)
    for what, array, copy in (("image", image, copies[0]), ("boxes", boxes, copies[1])):
        if not np.array_equal(array, copy):
            return Failed(
                f"the array of the {what} as it was",
                f"{int((array != copy).sum())} of its {array.size} numbers were changed",
                "whatever looks at the array next (a figure, another method) sees something else.",
            )
    return Passed()


CHECKS = (
    Check(
        "batch_composition",
        "is an image's answer the same alone and beside others?",
        check_batch_composition,
        _WHY_BATCH,
    ),
    Check("batch_order", "is it the same whatever the order?", check_batch_order, _WHY_BATCH),
    Check("state", "is it the same whatever was seen before?", check_state, _WHY_STATE),
    Check("determinism", "is it the same every time?", check_determinism, _WHY_STATE),
    Check("input_unchanged", "is the given image left alone?", check_input_unchanged, _WHY_STATE),
)
