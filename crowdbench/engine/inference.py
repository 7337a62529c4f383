"""The hot loop: samples → loader workers → network → poses, batch by batch, in order."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from crowdbench.api.method import Method, NetworkMethod
from crowdbench.api.types import Pose, Precision, Sample
from crowdbench.engine import hooks
from crowdbench.engine.batching import in_batches
from crowdbench.engine.data_loader import load_batches
from crowdbench.engine.precision import autocast
from crowdbench.errors import RunError
from crowdbench.system.images import decoder_warnings
from crowdbench.system.text import first_line

if TYPE_CHECKING:
    import torch
    from torch import nn

log = logging.getLogger("crowdbench")


def predict_batches(  # noqa: PLR0913
    method: Method,
    network: "nn.Module | None",
    batches: Sequence[Sequence[Sample]],
    *,
    batch_size: int,
    device: "torch.device",
    precision: Precision,
    workers: int,
    on_halved: Callable[[int], None] = lambda size: None,
    on_warning: Callable[[str], None] = lambda text: None,
) -> Iterator[list[list[Pose]]]:
    """Run a method on batches of samples.

    If memory runs out, the batch and all that follow are cut to half their size; if it runs out again, the
    run has to be started with smaller batches.

    Args:
        method: a `NetworkMethod` with its network, or any `Method`.
        network: on `device`, in eval mode; None for methods without a network.
        batches: samples, grouped; a group is one call of the network.
        batch_size: persons (top-down) or images that may be in the network at a time.
        device: where the network is.
        precision: ``bf16`` and ``fp16`` run the network under autocast.
        workers: loader processes; 0 prepares in this process.
        on_halved: called with the new batch size when memory ran out.
        on_warning: called with what the image decoder says of a damaged image, before its batch is yielded.

    Yields:
        For each batch, the poses of each of its images.

    Raises:
        PluginError: the method raised something, or broke its contract.
        RunError: memory ran out twice.
    """
    if isinstance(method, NetworkMethod):
        if network is None:
            raise ValueError("a NetworkMethod needs its network")
        predicting = BatchPredictor(method, network, device, precision, workers, on_warning)
        found = predicting.run_with_oom_retry(batches, batch_size, on_halved)
    else:
        found = (_estimated(method, batch, on_warning) for batch in batches)
    yield from found


def _estimated(
    method: Method, batch: Sequence[Sample], on_warning: Callable[[str], None]
) -> list[list[Pose]]:
    """The poses of each image, without a network."""
    with decoder_warnings() as warnings:
        found = [hooks.estimate(method, sample) for sample in batch]
    for text in dict.fromkeys(warnings):
        on_warning(text)
    return found


class BatchPredictor:
    """A network at work, wherever it is."""

    def __init__(
        self,
        method: NetworkMethod,
        network: "nn.Module",
        device: "torch.device",
        precision: Precision,
        workers: int,
        on_warning: Callable[[str], None],
    ) -> None:
        self.method = method
        self.network = network
        self.device = device
        self.precision = precision
        self.workers = workers
        self.on_warning = on_warning

    def run_with_oom_retry(
        self, batches: Sequence[Sequence[Sample]], size: int, on_halved: Callable[[int], None]
    ) -> Iterator[list[list[Pose]]]:
        """The poses of each batch; from where memory runs out on, batches are cut to half their size."""
        hooks.set_batch_limit(self.method, size)
        done = 0
        try:
            for poses in self.run(batches):
                yield poses
                done += 1
            return
        except Exception as error:
            if not hooks.is_out_of_memory(error):
                raise
            reason = first_line(error)
        # Outside the except block: the traceback held on to everything that was in memory.
        self._free()
        half = max(1, size // 2)
        log.warning("out of memory with batches of %d; going on with batches of %d. (%s)", size, half, reason)
        on_halved(half)
        hooks.set_batch_limit(self.method, half)
        remaining = [in_batches(batch, half, self.method.paradigm) for batch in batches[done:]]
        try:
            found = self.run([part for parts in remaining for part in parts])
            for parts in remaining:
                yield [poses for _ in parts for poses in next(found)]
        except Exception as error:
            if not hooks.is_out_of_memory(error):
                raise
            raise RunError(
                f"out of memory with batches of {size}, and again with batches of {half}: "
                f"{first_line(error)}\n"
                f"What is done is kept with the batches of {size} that it was done in. Start again with "
                f"--batch-size {max(1, half // 2)}."
            ) from error

    def run(self, batches: Sequence[Sequence[Sample]]) -> Iterator[list[list[Pose]]]:
        """The poses of each batch."""
        import torch

        pin = self.device.type == "cuda"
        loaded = load_batches(
            self.method, batches, workers=self.workers, pin_memory=pin, on_warning=self.on_warning
        )
        for samples, batch in zip(batches, loaded, strict=True):
            with torch.inference_mode(), autocast(self.device, self.precision):
                found = hooks.predict(self.method, self.network, batch, samples)
            yield found

    def _free(self) -> None:
        import torch

        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def to_coco_results(
    sample: Sample,
    poses: Sequence[Pose],
    *,
    category_id: int = 1,
    with_boxes: bool = False,
    columns: Sequence[int] | None = None,
) -> list[msgspec.Raw]:
    """Poses of one image in COCO results format, as text: a third of the memory that objects take.

    Args:
        sample: the image.
        poses: found in it.
        category_id: of persons, in the annotation file that the sample is from.
        with_boxes: write the poses' boxes too, if they have some. Scoring would take areas from them.
        columns: which keypoints are written, in this order; None writes all.
    """
    results = []
    for pose in poses:
        entry: dict[str, Any] = {
            "image_id": sample.image_id,
            "category_id": category_id,
            "keypoints": (pose.keypoints if columns is None else pose.keypoints[columns]).ravel().tolist(),
            "score": pose.score,
        }
        if with_boxes and pose.box_xywh is not None:
            entry["bbox"] = pose.box_xywh.tolist()
        results.append(msgspec.Raw(msgspec.json.encode(entry)))
    return results
