"""Score a method on the keypoints, matched by name, that its own set and a dataset's share.

A network trained for another keypoint set can only be scored on the common keypoints. That is a separate
protocol: without the other keypoints AP is another quantity, never ranked with the full one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crowdbench import plugins
from crowdbench.api.dataset import Dataset, dataset_class
from crowdbench.api.types import KeypointSet
from crowdbench.errors import CrowdbenchError, SettingsError

ALL = "all"
COMMON = "common"


@dataclass(frozen=True)
class CommonKeypoints:
    """The keypoints that a dataset shares with the one that a method was made for.

    Attributes:
        other: the name of the method's dataset.
        predicted: its keypoints, which the method predicts.
        names: the common ones, in the order of the evaluated dataset.
    """

    other: str
    predicted: KeypointSet
    names: tuple[str, ...]


def common_keypoints(choice: str, dataset: str) -> CommonKeypoints | None:
    """What ``--keypoints`` means on a dataset.

    Args:
        choice: ``"all"``, ``"common"``, or ``"common:<dataset>"``, which says for which dataset's keypoints
            the method was made.
        dataset: the name of the one that is measured on.

    Returns:
        None for all of the dataset's keypoints.

    Raises:
        SettingsError: no other dataset has some of these keypoints, or several have, in other sets.
        UnknownNameError: no such dataset.
    """
    if choice == ALL:
        return None
    word, _, other = choice.partition(":")
    if word != COMMON or (":" in choice and not other):
        raise SettingsError(
            f"keypoints are {ALL}, {COMMON}, or {COMMON}:DATASET, whose keypoints the method predicts; "
            f"got {choice!r}."
        )
    own = keypoints_of(dataset)
    if not other:
        other = _only_other(dataset, own)
    predicted = keypoints_of(other)
    shared = _shared(own, predicted)
    if set(own.keypoints) <= set(predicted.keypoints) and own.count == predicted.count:
        raise SettingsError(f"{other} has the same keypoints as {dataset}: leave --keypoints out.")
    if not shared:
        raise SettingsError(f"{dataset} and {other} have no keypoint in common.")
    return CommonKeypoints(other, predicted, shared)


def keypoints_of(dataset: str) -> KeypointSet:
    """The keypoints that a dataset labels, without opening it."""
    return dataset_class(dataset).protocol.keypoints


def _shared(own: KeypointSet, other: KeypointSet) -> tuple[str, ...]:
    return tuple(name for name in own.keypoints if name in other.keypoints)


def _only_other(dataset: str, own: KeypointSet) -> str:
    """The first by name of the datasets whose keypoints differ and overlap; they must all be of one set."""
    found: dict[tuple[str, ...], str] = {}
    for name in sorted(plugins.installed("dataset")):
        try:
            keypoints = keypoints_of(name)
        except (CrowdbenchError, AttributeError):
            continue  # a broken plugin must not prevent the use of others
        if set(keypoints.keypoints) != set(own.keypoints) and _shared(own, keypoints):
            found.setdefault(keypoints.keypoints, name)
    if not found:
        raise SettingsError(f"no installed dataset shares only some keypoints with {dataset}.")
    if len(found) > 1:
        choices = ", ".join(f"--keypoints {COMMON}:{name}" for name in found.values())
        raise SettingsError(
            f"several datasets share some keypoints with {dataset}. Say for which one the method was made: "
            f"{choices}."
        )
    return next(iter(found.values()))


def scored_columns(dataset: Dataset, predicted: KeypointSet) -> Sequence[int] | None:
    """Which of a method's keypoints are kept, in the order in which the dataset scores them.

    Args:
        dataset: opened; on some of its keypoints (`Dataset.on_keypoints`), or on all.
        predicted: by the method.

    Returns:
        None if all are, as they are.

    Raises:
        SettingsError: the method does not predict some that are scored.
    """
    wanted = dataset.keypoints.keypoints
    if dataset.protocol.labelled is None or wanted == predicted.keypoints:
        return None
    missing = [name for name in wanted if name not in predicted.keypoints]
    if missing:
        raise SettingsError(
            f"{dataset.name} is scored on {', '.join(wanted)}; the method predicts {predicted.name}, which "
            f"lacks {', '.join(missing)}."
        )
    return [predicted.keypoints.index(name) for name in wanted]
