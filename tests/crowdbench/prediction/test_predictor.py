"""How images reach a network: in the batches of a run, and no sooner than needed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.methods.toy import KEYPOINTS, ToyNetwork, ToySettings
from torch import nn

from crowdbench.api.types import Instance, LoadedImage
from crowdbench.engine.batching import in_batches
from crowdbench.errors import RunError
from crowdbench.prediction import Estimator
from crowdbench.weights import ResolvedWeights


class Watched(ToyNetwork):
    """Notes the batches; has memory for so many persons."""

    def __init__(self, memory: int = 1000) -> None:
        super().__init__(KEYPOINTS, ToySettings(), "watched")
        self.memory = memory
        self.batches: list[list[int]] = []

    def predict(self, network: nn.Module, batch: Any) -> Any:
        lengths = [len(boxes) for boxes in batch[0]]
        if sum(lengths) > self.memory:
            raise MemoryError("no more")
        self.batches.append(lengths)
        return super().predict(network, batch)


def pictures(persons: Sequence[int]) -> list[LoadedImage]:
    """Black ones with boxes."""
    box = Instance(np.array([1.0, 1.0, 5.0, 5.0]), np.zeros((2, 3)), 25.0)
    return [
        LoadedImage(
            image_id=number,
            path=Path(f"{number}.png"),
            width=10,
            height=10,
            instances=(box,) * count,
            pixels=np.zeros((10, 10, 3), np.uint8),
        )
        for number, count in enumerate(persons)
    ]


def ready(method: Watched, batch_size: int) -> Estimator:
    weights = ResolvedWeights("none", None, None, "none")
    return Estimator(method, method.build_network().eval(), batch_size, torch.device("cpu"), "fp32", weights)


PERSONS = [2, 1, 0, 3, 0, 0, 1, 9, 1, 1, 1, 0]


def test_batches_are_those_of_a_run_and_pictures_without_persons_have_no_poses() -> None:
    method, given = Watched(), pictures(PERSONS)
    found = list(ready(method, 4).poses(given))
    assert [picture for picture, _ in found] == given
    assert [len(poses) for _, poses in found] == PERSONS
    asked = [picture for picture in given if picture.instances]
    expected = in_batches(asked, 4, "top-down")
    assert method.batches == [[len(p.instances) for p in batch] for batch in expected]


def test_images_are_loaded_only_when_needed() -> None:
    asked = []

    def one_by_one() -> Iterator[LoadedImage]:
        for picture in pictures([1] * 100):
            asked.append(picture.image_id)
            yield picture

    found = ready(Watched(), 4).poses(one_by_one())
    for number in range(12):
        assert next(found)[0].image_id == number
    assert len(asked) == 13


def test_large_images_do_not_wait_for_a_full_batch() -> None:
    method = Watched()
    found = list(replace(ready(method, 100), waiting_bytes=700).poses(pictures([1] * 5)))
    assert [len(poses) for _, poses in found] == [1] * 5
    assert method.batches == [[1, 1], [1, 1], [1]]


def test_when_memory_runs_out_batches_stay_half_as_large() -> None:
    method = Watched(memory=2)
    found = list(ready(method, 4).poses(pictures([1] * 8)))
    assert [len(poses) for _, poses in found] == [1] * 8
    assert method.batches == [[1, 1]] * 4


def test_running_out_of_memory_on_a_single_image_ends_the_command() -> None:
    with pytest.raises(RunError, match="out of memory"):
        list(ready(Watched(memory=0), 1).poses(pictures([1])))
