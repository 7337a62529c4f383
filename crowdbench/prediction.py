"""The hot loop: samples → loader workers → network → poses, batch by batch, in order."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from crowdbench.errors import ShapeError
from crowdbench.loading import load_batches
from crowdbench.method import Method, NetworkMethod
from crowdbench.types import Pose, Sample

if TYPE_CHECKING:
    import torch
    from torch import nn

Precision = Literal["fp32", "bf16", "fp16"]


def predict_batches(
    method: Method,
    network: "nn.Module | None",
    batches: Sequence[Sequence[Sample]],
    *,
    device: "torch.device",
    precision: Precision,
    workers: int,
) -> Iterator[list[list[Pose]]]:
    """Run a method on batches of samples.

    Args:
        method: a `NetworkMethod` with its network, or any `Method`.
        network: on `device`, in eval mode; None for methods without a network.
        batches: samples, grouped; a group is one call of the network.
        device: where the network is.
        precision: ``bf16`` and ``fp16`` run the network under autocast.
        workers: loader processes; 0 prepares in this process.

    Yields:
        For each batch, the poses of each of its images.

    Raises:
        ShapeError: the method broke its contract: poses of another number of images or keypoints.
    """
    if isinstance(method, NetworkMethod):
        if network is None:
            raise ValueError("a NetworkMethod needs its network")
        found = _network_batches(method, network, batches, device, precision, workers)
    else:
        found = ([_estimated(method, sample) for sample in batch] for batch in batches)
    for batch, poses in zip(batches, found, strict=True):
        _check(method, batch, poses)
        yield poses


def _estimated(method: Method, sample: Sample) -> list[Pose]:
    boxes = sample.boxes_xywh if method.paradigm == "top-down" else np.empty((0, 4))
    return method.estimate(sample.read(), boxes)


def _network_batches(
    method: NetworkMethod,
    network: "nn.Module",
    batches: Sequence[Sequence[Sample]],
    device: "torch.device",
    precision: Precision,
    workers: int,
) -> Iterator[list[list[Pose]]]:
    import torch

    for batch in load_batches(method, batches, workers=workers, pin_memory=device.type == "cuda"):
        with torch.inference_mode(), _autocast(device, precision):
            yield method.predict(network, batch)


def _autocast(device: "torch.device", precision: Precision) -> AbstractContextManager[object]:
    import torch

    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def _check(method: Method, batch: Sequence[Sample], poses: Sequence[Sequence[Pose]]) -> None:
    if len(poses) != len(batch):
        raise ShapeError(
            f"{type(method).__name__} returned poses of {len(poses)} images for {len(batch)} images."
        )
    for sample, found in zip(batch, poses, strict=True):
        for pose in found:
            if len(pose.keypoints) != method.keypoints.count:
                raise ShapeError(
                    f"{type(method).__name__} returned {len(pose.keypoints)} keypoints on image "
                    f"{sample.image_id}; {method.keypoints.name} has {method.keypoints.count}."
                )


def as_results(sample: Sample, poses: Sequence[Pose]) -> list[dict[str, Any]]:
    """Poses of one image in COCO results format."""
    return [
        {
            "image_id": sample.image_id,
            "category_id": 1,
            "keypoints": pose.keypoints.ravel().tolist(),
            "score": pose.score,
        }
        for pose in poses
    ]
