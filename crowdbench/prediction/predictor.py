"""A method that is ready to look at pictures, one after the other, as it does in a run."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
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
    """A method, its network with weights, and how it is run.

    Attributes:
        method: configured for a dataset.
        network: on `device`, in eval mode; None for methods without one.
        batch_size: persons (top-down methods) or images in the network at a time; halved when memory
            runs out.
        device, precision: see `crowdbench.engine.inference.predict_batches`.
        weights: what was loaded.
        notes: what was decided while the weights were read, in sentences.
        waiting_bytes: so much of pictures waits for a batch to be full, at most.
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
        """Fetch the weights and build the network, as `crowdbench.evaluate` does with these arguments.

        Raises:
            InputError: something given is wrong: weights, settings, device.
        """
        require_options(seed=seed, batch_size=batch_size)
        target = pick_device(device)
        if emulates(precision, target):
            log.warning("this CPU has no units for %s: it will be slower than fp32, not faster", precision)
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

    def poses(self, pictures: Iterable[LoadedImage]) -> Iterator[tuple[LoadedImage, list[Pose]]]:
        """The poses of each picture, in order.

        Pictures are batched as a run batches its images, and are asked for only as they are needed.

        Raises:
            PluginError: the method broke its contract.
            RunError: memory ran out with the smallest batches.
        """
        for waiting in self._batched(pictures):
            # A top-down method has nothing to do where there is no box.
            asked = [p for p in waiting if p.instances or self.method.paradigm != "top-down"]
            found = iter(self._predicted(asked) if asked else [])
            for picture in waiting:
                nobody = self.method.paradigm == "top-down" and not picture.instances
                yield picture, [] if nobody else next(found)

    def _batched(self, pictures: Iterable[LoadedImage]) -> Iterator[list[LoadedImage]]:
        """Cut where `in_batches` would cut all of them, or where they fill too much memory."""
        waiting: list[LoadedImage] = []
        size = 0
        for picture in pictures:
            size += picture.pixels.nbytes
            full = len(in_batches([*waiting, picture], self.batch_size, self.method.paradigm)) > 1
            if waiting and (full or size > self.waiting_bytes):
                yield waiting
                waiting, size = [], picture.pixels.nbytes
            waiting.append(picture)
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
            workers=0,  # the pictures are in this process
            on_halved=self._halve,
        )
        return next(found)

    def _halve(self, size: int) -> None:
        self.batch_size = size


def dataset_for(method: str, weights: str) -> str:
    """The dataset whose keypoints and settings a method has, where the user does not say.

    Args:
        method: its name.
        weights: as the user says.

    Returns:
        The dataset that the weights were published for.

    Raises:
        UnknownNameError: no such method.
        SettingsError: there are several or none.
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
        f"{method} predicts other keypoints, with other settings, for each dataset; say for which, with "
        "--dataset NAME.\n"
        + (f"Weights are published for {known}." if known else "`crowdbench datasets` lists the datasets.")
    )
