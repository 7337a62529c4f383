"""Decide which images are computed together.

What fills memory is persons, not images: a top-down method computes every person of a batch, so its batches
are counted in persons. Methods that find persons by themselves compute whole images, and count those.
"""

from collections.abc import Callable, Sequence

from crowdbench.api.types import Paradigm, Sample

# The smallest batch that comes within 5 % of the best throughput measured (benchmarks/RESULTS.md) on a
# CPU; on a GPU, where larger ones pay, what a common card has memory for.
ON_PROCESSOR, ON_GPU = 16, 64
IMAGES = 8


def default_batch_size(paradigm: Paradigm, device: str) -> int:
    """Persons (top-down) or images in a batch, where the user does not say.

    Args:
        paradigm: of the method.
        device: its type, as in ``torch.device.type``.
    """
    if paradigm != "top-down":
        return IMAGES
    return ON_PROCESSOR if device == "cpu" else ON_GPU


def in_batches(samples: Sequence[Sample], size: int, paradigm: Paradigm) -> list[list[Sample]]:
    """Group consecutive images.

    Args:
        samples: in order.
        size: at most so many persons (top-down) or images in a batch. An image is never cut: one with more
            persons is a batch of its own, which the method computes in chunks
            (`NetworkMethod.set_batch_limit`).
        paradigm: of the method.

    Returns:
        The batches. Equal arguments give equal batches: a run that goes on relies on it.
    """
    batches: list[list[Sample]] = []
    filled = 0
    weight = _weight(paradigm)
    for sample in samples:
        if not batches or filled + weight(sample) > size:
            batches.append([])
            filled = 0
        batches[-1].append(sample)
        filled += weight(sample)
    return batches


def _weight(paradigm: Paradigm) -> Callable[[Sample], int]:
    return (lambda sample: len(sample.instances)) if paradigm == "top-down" else (lambda _: 1)
