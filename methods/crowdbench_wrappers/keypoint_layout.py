"""Check a model's keypoints against the dataset's."""

from pathlib import Path

from crowdbench.api.types import KeypointSet
from crowdbench.errors import WeightsError


def other_layout(source: Path | str, count: int, keypoints: KeypointSet) -> WeightsError:
    """The error for a model that finds another number of keypoints than the dataset has.

    Args:
        source: names the model in the message.
        count: the keypoints that the model finds.
        keypoints: those of the dataset.
    """
    return WeightsError(
        f"{source}: the model finds {count} keypoints a person; {keypoints.name} has {keypoints.count}: "
        f"{', '.join(keypoints.keypoints)}.\nTake a model for that layout, or a dataset with the "
        "model's, or measure on the keypoints that both have: --keypoints common."
    )
