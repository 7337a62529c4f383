"""Check that examples prepared in loader workers are equal and can be transferred."""

import pickle
from collections.abc import Callable

from crowdbench.api.method import NetworkMethod
from crowdbench.testing.equality import difference
from crowdbench.testing.outcome import Check, Failed, NotApplicable, Outcome, Passed, described
from crowdbench.testing.pose_difference import changed, equal
from crowdbench.testing.subject import MethodSubject

_WHY = "loader workers are other processes; what cannot be pickled cannot be prepared in them."


def _pickled(thing: object) -> object:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301  (written a moment ago, here)


def _first_trouble(steps: dict[str, Callable[[], object]]) -> Failed | None:
    for what, step in steps.items():
        try:
            step()
        except Exception as error:
            return Failed(f"{what} that can be pickled and read back", described(error), _WHY)
    return None


def check_pickling(subject: MethodSubject) -> Outcome:
    """The method, an example and a batch, to bytes and back."""
    method = subject.require_network()
    subject.require_answers()
    sample = subject.sample(subject.small[0])
    example = method.prepare(sample)
    batch = method.collate([example])
    trouble = _first_trouble(
        {
            "a method": lambda: _pickled(method),
            "an example": lambda: _pickled(example),
            "a batch": lambda: _pickled(batch),
        }
    )
    if trouble:
        return trouble
    copy = _pickled(method)
    assert isinstance(copy, NetworkMethod)
    found = difference(method.prepare(sample), copy.prepare(sample))
    if found:
        return Failed("equal examples from a method and its pickled copy", found, _WHY)
    return Passed()


def check_workers(subject: MethodSubject) -> Outcome:
    """Two batches, prepared in this process and in a loader worker."""
    method = subject.require_network()
    subject.require_answers()
    if isinstance(check_pickling(subject), Failed):
        raise NotApplicable("nothing reaches a worker; see the check pickling")
    batches = [[subject.sample(scene)] for scene in subject.small[:2]]
    here, there = subject.run(batches), subject.run(batches, workers=1)
    for one, other in zip(here, there, strict=True):
        if not equal(one[0], other[0]):
            return Failed(
                "the same poses whether a worker prepares an image or this process does",
                changed(one, other, method.keypoints.count)[1],
                "the score would depend on --workers.",
            )
    return Passed()


CHECKS = (
    Check("pickling", "can the method, its examples and batches be pickled?", check_pickling, _WHY),
    Check("workers", "do loader workers prepare the same?", check_workers, _WHY),
)
