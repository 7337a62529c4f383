"""Batches are counted in what fills memory."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crowdbench.api.types import Instance, Sample
from crowdbench.engine.batching import in_batches

crowds = st.lists(st.integers(1, 12), max_size=30)
sizes = st.integers(1, 20)


def samples(persons: list[int]) -> list[Sample]:
    one = Instance(np.zeros(4), np.zeros((2, 3)), area=1.0)
    return [Sample(i, Path("x.png"), 10, 10, (one,) * count) for i, count in enumerate(persons)]


def persons_of(batch: list[Sample]) -> int:
    return sum(len(sample.instances) for sample in batch)


@given(crowds, sizes)
def test_no_batch_has_more_persons_than_asked_unless_one_image_alone_has(
    persons: list[int], size: int
) -> None:
    images = samples(persons)
    batches = in_batches(images, size, "top-down")
    assert [sample for batch in batches for sample in batch] == images
    assert all(persons_of(batch) <= size or len(batch) == 1 for batch in batches)
    # None is smaller than it must be.
    assert all(persons_of([*batch, following[0]]) > size for batch, following in pairwise(batches))


@given(crowds, sizes)
def test_batches_of_methods_without_boxes_count_images(persons: list[int], size: int) -> None:
    batches = in_batches(samples(persons), size, "bottom-up")
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
