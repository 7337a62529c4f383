"""What the author of a method writes.

A method turns images into poses. It never opens a dataset, never touches a cluster, never scores itself.
Two shapes, one interface:

- `Method`: implement `estimate`. Enough to benchmark anything: an ONNX file, another framework, a service.
- `NetworkMethod`: implement `build_network`, `prepare`, `collate`, `predict`. crowdbench prepares in loader
  workers, batches images, and owns device, precision and weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.recipe import Recipe
from crowdbench.api.settings import NoSettings
from crowdbench.api.types import (
    FloatArray,
    Instance,
    KeypointSet,
    LoadedImage,
    Paradigm,
    Pose,
    Precision,
    Sample,
)
from crowdbench.errors import SettingsError
from crowdbench.weights.checkpoint_file.state_dict import load_weights, put_weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


Example = Any  # what one image becomes; anything that can be pickled
Batch = Any  # what several examples become; `predict` moves it to the network's device


class Method(ABC):
    """A method configured for one dataset.

    Class attributes:
        paradigm: ``"top-down"`` methods get boxes; the others must not look at them.
        Settings: a frozen dataclass of everything that can change the method's numbers. Fields called
            ``flip_test`` and ``input_size`` (height, width) become part of a run's protocol.
        published: the settings that the method's paper uses, by dataset. ``"*"`` is every other dataset;
            where it is missing, those get ``Settings()``.
        takes_weights: `load_weights` gets the file that ``--weights`` names.
        tracked_packages: installed packages, besides crowdbench's own, whose version can change a prediction;
            a run with another version is another run.
        include_boxes: the boxes of poses are written beside them; scoring then takes areas from boxes.
        reads_images: whether it can look at pictures. A method that cannot, because it repeats what a file
            says, has no speed, and other pictures make no other run.
        notes: what the record of a run should warn of, in sentences; known once `begin` has returned.

    Args:
        keypoints: the keypoints to predict, in this order.
        settings: an instance of `Settings`.
        name: what the method is called in records; `load_method` passes the name it was loaded by.
    """

    paradigm: ClassVar[Paradigm]
    Settings: ClassVar[type[Any]] = NoSettings
    published: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    takes_weights: ClassVar[bool] = False
    tracked_packages: ClassVar[tuple[str, ...]] = ()
    include_boxes: ClassVar[bool] = False
    reads_images: ClassVar[bool] = True
    notes: Sequence[str] = ()

    def __init__(self, keypoints: KeypointSet, settings: Any, name: str | None = None) -> None:
        self.keypoints = keypoints
        self.settings = settings
        self.name = name or type(self).__name__

    @classmethod
    def settings_for(cls, dataset: str) -> Any:
        """The settings for a dataset, before any override: those of `published`, or the defaults."""
        for name in (dataset, "*"):
            if name in cls.published:
                return cls.published[name]
        return cls.Settings()

    def __call__(self, image: NDArray[np.uint8], boxes: FloatArray | None = None) -> list[Pose]:
        """`estimate`, with no boxes if none are given."""
        if boxes is None and self.paradigm == "top-down":
            raise SettingsError(f"{self.name} is top-down: pass boxes, (n, 4): x, y, w, h in pixels.")
        return self.estimate(image, np.empty((0, 4)) if boxes is None else boxes)

    @abstractmethod
    def estimate(self, image: NDArray[np.uint8], boxes: FloatArray) -> list[Pose]:
        """Find the poses in one image.

        Args:
            image: ``(H, W, 3)`` uint8, RGB.
            boxes: ``(n, 4)`` float64, x, y, w, h in pixels; n = 0 unless the method is top-down.

        Returns:
            The poses, in image coordinates, best first or in any order.
        """

    def estimate_sample(self, sample: Sample) -> list[Pose]:
        """Find the poses in one image of a dataset; what is here reads it and calls `estimate`.

        For methods that need more than pixels and boxes, or no pixels at all.
        """
        boxes = sample.boxes_xywh if self.paradigm == "top-down" else np.empty((0, 4))
        return self.estimate(sample.read(), boxes)

    def load_weights(self, weights: "Path") -> None:
        """Load the weights file; called once, before the first image (`takes_weights`).

        Raises:
            WeightsError: the file is not what the method needs.
        """
        raise SettingsError(f"{self.name} takes no weights.")

    def on_start(self, samples: "Sequence[Sample]", complete: bool) -> None:  # noqa: B027  (most need nothing)
        """Called once with all images of the run, after `load_weights` and before the first image.

        Args:
            samples: of the run, with those that were done before it was continued.
            complete: they are a whole split.
        """

    def protocol_overrides(self) -> dict[str, Any]:
        """Fields of the `crowdbench.run_store.record.Protocol` that this method knows better than crowdbench.

        For methods that were given more, or less, than crowdbench gave them.
        """
        return {}


class NetworkMethod(Method):
    """A method whose core is one PyTorch module."""

    takes_weights = True
    #: What `estimate` computes with; set by `load_weights`.
    loaded_network: "nn.Module | None" = None

    @abstractmethod
    def build_network(self) -> "nn.Module":
        """Build the network, with the weights a training would start from."""

    @abstractmethod
    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Example:
        """Turn an image into the network's input. Runs in loader workers.

        Args:
            sample: the image and its persons.
            rng: given for training: augment, and add targets. It is the image's own in its epoch, so nothing
                else may be asked for random numbers.
        """

    @abstractmethod
    def collate(self, examples: Sequence[Example]) -> Batch:
        """Join the examples of several images."""

    @abstractmethod
    def predict(self, network: "nn.Module", batch: Batch) -> list[list[Pose]]:
        """Run the network, in eval mode and without gradients, and decode.

        Returns:
            The poses of each image of the batch, in image coordinates.
        """

    def convert_state_dict(self, state: "Mapping[str, Tensor]") -> "Mapping[str, Tensor]":
        """Weights as their publisher saved them → by the names of `network`; every name must then match."""
        return state

    def optimize_for_inference(
        self, network: "nn.Module", *, precision: Precision = "fp32", compiled: bool = False
    ) -> "nn.Module":
        """Make a network faster that will only predict, with equal results; it may be changed in place.

        Args:
            network: with its weights, in eval mode, on its device.
            precision: `predict` will be called under autocast to it, unless it is ``"fp32"``.
            compiled: use `torch.compile`. What is here compiles the network's ``forward``.
        """
        if compiled:
            network.compile(dynamic=True)
        return network

    def set_batch_limit(self, size: int) -> None:
        """Set how many persons (top-down) or images `predict` may have in the network at a time.

        Called before the first batch, and with half as many when memory ran out. Batches are no larger, but
        for an image that alone has more persons; a method that can computes those in portions.
        """

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> Recipe:
        """How the method's paper trains on a dataset, or its defaults for an unknown one.

        It may be of a class derived from `Recipe`, with more that is the method's own: what is in it can be
        changed on the command line, and is recorded.

        Raises:
            SettingsError: the method cannot be trained.
        """
        raise SettingsError(f"{cls.__name__} cannot be trained: it has no recipe.")

    def configure_training(self, recipe: Recipe) -> None:
        """Receive the recipe, before anything is prepared with a generator."""

    def initialize_from(self, network: "nn.Module", state: "Mapping[str, Tensor]", source: str) -> list[str]:
        """Put the weights that training begins with, of ImageNet or of a first stage, into a new network.

        What is here wants weights of this very network, every name and shape.

        Args:
            network: changed in place.
            state: tensors by name.
            source: names the file in messages.

        Returns:
            The names of the network's tensors that were set.

        Raises:
            WeightsError: they do not fit.
        """
        load_weights(network, self.convert_state_dict(state), source)
        return list(network.state_dict())

    def loss(self, network: "nn.Module", batch: Batch) -> "dict[str, Tensor]":
        """The training losses by name; their sum is minimised.

        Called with the network in training mode, or wrapped for many processes: call it once, as a function.
        `batch` is moved to the network's device here, as in `predict`.
        """
        raise SettingsError(f"{type(self).__name__} cannot be trained: it has no loss.")

    def count_targets(self, batch: Batch) -> int:
        """How many persons, or images, the losses of a batch are means over."""
        raise SettingsError(f"{type(self).__name__} cannot be trained: it does not count its batches.")

    def load_weights(self, weights: "Path", device: "torch.device | str" = "cpu") -> None:
        """Build a network with the weights of a file, for `estimate`.

        Args:
            weights: a checkpoint file, ``.pth`` or ``.safetensors``.
            device: the device that `estimate` computes on.

        Raises:
            WeightsError: the weights do not fit.
        """
        network = self.build_network()
        put_weights(network, weights, self.convert_state_dict)
        self.loaded_network = network.to(device).eval()

    def estimate(self, image: NDArray[np.uint8], boxes: FloatArray) -> list[Pose]:
        """Find the poses in one image with `loaded_network`: prepare, collate, predict, on its device.

        For notebooks and tests. Runs and `crowdbench predict` batch images and prepare them in parallel.

        Args:
            image: ``(H, W, 3)`` uint8, RGB.
            boxes: ``(n, 4)`` float64, x, y, w, h in pixels; n = 0 unless the method is top-down.

        Raises:
            SettingsError: no weights are loaded.
        """
        import torch

        if self.loaded_network is None:
            raise SettingsError(f"{self.name} has no weights yet. Call load_weights(FILE) before estimate.")
        boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        if self.paradigm == "top-down" and not len(boxes):
            return []
        nowhere = np.zeros((self.keypoints.count, 3))
        instances = tuple(
            Instance(box, nowhere, area=float(box[2] * box[3]), id=number) for number, box in enumerate(boxes)
        )
        height, width = image.shape[:2]
        sample = LoadedImage(0, Path("image"), width, height, instances, box_source="none", pixels=image)
        with torch.inference_mode():
            (poses,) = self.predict(self.loaded_network, self.collate([self.prepare(sample)]))
        return poses
