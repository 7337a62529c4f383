"""Read and check the samples of a split, whatever its dataset returns."""

from collections import Counter

from crowdbench.api.dataset import Dataset
from crowdbench.api.types import Sample
from crowdbench.errors import PluginError
from crowdbench.system.plugin_calls import calling


def image_count(dataset: Dataset) -> int:
    """How many images a split has; raises PluginError if the dataset's answer is not a number."""
    with calling(f"dataset {dataset.name}", "__len__"):
        return len(dataset)


def inputs_digest(dataset: Dataset, count: int) -> str:
    """`Dataset.inputs_digest`."""
    with calling(f"dataset {dataset.name}", "inputs_digest", f"its first {count} images"):
        return dataset.inputs_digest(count)


def samples_of(dataset: Dataset, count: int) -> list[Sample]:
    """The first `count` images of a split; raises PluginError if they are no samples, or not unique."""
    with calling(f"dataset {dataset.name}", "__getitem__", f"one of its first {count} images"):
        samples = [dataset[index] for index in range(count)]
    for index, sample in enumerate(samples):
        if not isinstance(sample, Sample):
            raise PluginError(
                f"dataset {dataset.name}: __getitem__({index}) must return a crowdbench.Sample, not a "
                f"{type(sample).__name__}."
            )
    doubled = [image for image, times in Counter(sample.image_id for sample in samples).items() if times > 1]
    if doubled:
        raise PluginError(
            f"dataset {dataset.name}: the image id {doubled[0]!r} is given more than once; "
            "predictions are matched with annotations by it."
        )
    return samples
