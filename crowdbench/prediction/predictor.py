"""A method with its network and weights, which predicts images as a run does."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING

from crowdbench.api.load_method import method_class
from crowdbench.api.method import Method, NetworkMethod
from crowdbench.api.option_limits import require_options
from crowdbench.api.types import LoadedImage, Pose, Precision
from crowdbench.engine import hooks
from crowdbench.engine.batching import default_batch_size, in_batches
from crowdbench.engine.inference import predict_batches
from crowdbench.engine.network import build_network, resolve_method_weights
from crowdbench.errors import SettingsError
from crowdbench.system.devices import emulates, pick_device
from crowdbench.weights import ResolvedWeights, Transfer
from crowdbench.weights.resolve import PUBLISHED
from crowdbench.weights.table import weights_table

if TYPE_CHECKING:
    import torch
    from torch import nn

log = logging.getLogger("crowdbench")


@dataclass
class Estimator:
    """A method, its network with weights, and how they are run.

    Attributes:
        method: configured for a dataset.
        network: on `device`, in eval mode; None for methods without one.
        batch_size: persons (top-down methods) or images per batch; halved when memory runs out.
        device, precision: see `crowdbench.engine.inference.predict_batches`.
        weights: the weights loaded.
        notes: sentences about how the weights were loaded.
        waiting_bytes: the largest total size of images that wait for a batch to fill.
    """

    method: Method
    network: "nn.Module | None"
    batch_size: int
    device: "torch.device"
    precision: Precision
    weights: ResolvedWeights
    waiting_bytes: int = 1 << 29
    notes: list[str] = field(default_factory=list)

    @classmethod
    def load(
        cls,
        method: Method,
        dataset: str,
        *,
        weights: str = PUBLISHED,
        batch_size: int | None = None,
        seed: int = 0,
        device: str = "auto",
        precision: Precision = "fp32",
        on_progress: Callable[[Transfer], None] | None = None,
    ) -> "Estimator":
        """Download weights and build the network, as `crowdbench.evaluate` does; raises InputError."""
        require_options(seed=seed, batch_size=batch_size)
        target = pick_device(device)
        if emulates(precision, target):
            log.warning(
                "this CPU has no native support for %s: it will be slower than fp32, not faster", precision
            )
        size = default_batch_size(method.paradigm, target.type) if batch_size is None else batch_size
        found = resolve_method_weights(method, dataset, weights, on_progress)  # type: ignore[arg-type]  # called for transfers only
        network = None
        notes: list[str] = []
        if isinstance(method, NetworkMethod):
            network = build_network(
                method, found.path, seed=seed, device=target, precision=precision, on_note=notes.append
            )
        elif found.path is not None:
            hooks.load_weights(method, found.path)
        return cls(method, network, size, target, precision, found, notes=notes)

    def poses(self, images: Iterable[LoadedImage]) -> Iterator[tuple[LoadedImage, list[Pose]]]:
        """Yield each image with its poses, in order.

        Images are batched as in a run, and consumed only as needed.

        Raises:
            PluginError: the method violates the plugin contract.
            RunError: out of memory even with the smallest batches.
        """
        for waiting in self._batched(images):
            # A top-down method is not called for images without boxes.
            used = [bool(image.instances) or self.method.paradigm != "top-down" for image in waiting]
            batch = list(compress(waiting, used))
            found = iter(self._predicted(batch) if batch else [])
            for image, is_used in zip(waiting, used, strict=True):
                yield image, next(found) if is_used else []

    def _batched(self, images: Iterable[LoadedImage]) -> Iterator[list[LoadedImage]]:
        """Split where `in_batches` would split the whole list, or where images take too much memory."""
        waiting: list[LoadedImage] = []
        size = 0
        for image in images:
            size += image.pixels.nbytes
            full = len(in_batches([*waiting, image], self.batch_size, self.method.paradigm)) > 1
            if waiting and (full or size > self.waiting_bytes):
                yield waiting
                waiting, size = [], image.pixels.nbytes
            waiting.append(image)
        if waiting:
            yield waiting

    def _predicted(self, batch: list[LoadedImage]) -> list[list[Pose]]:
        found = predict_batches(
            self.method,
            self.network,
            [batch],
            batch_size=self.batch_size,
            device=self.device,
            precision=self.precision,
            workers=0,  # the images are in memory
            on_halved=self._halve,
        )
        return next(found)

    def _halve(self, size: int) -> None:
        self.batch_size = size


def dataset_for(method: str, weights: str) -> str:
    """The dataset whose keypoints and settings a method uses by default.

    Args:
        method: the method's name.
        weights: the ``--weights`` option.

    Returns:
        The dataset that the weights were published for.

    Raises:
        UnknownNameError: no such method.
        SettingsError: there is no such dataset, or more than one.
    """
    method_class(method)
    table = weights_table()
    if weights in table and table[weights].dataset is not None:
        return str(table[weights].dataset)
    published = sorted(
        {e.dataset for e in table.values() if e.method == method and e.is_whole and e.dataset is not None}
    )
    if len(published) == 1 and weights == PUBLISHED:
        return published[0]
    known = ", ".join(published)
    raise SettingsError(
        f"{method} has keypoints and settings for each dataset; choose one with --dataset NAME.\n"
        + (f"Weights are published for {known}." if known else "`crowdbench datasets` lists the datasets.")
    )
