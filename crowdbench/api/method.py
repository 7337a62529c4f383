"""The interface that a method implements.

A method turns images into poses. It does not open datasets, submit jobs or score itself. Derive from one of:

- `Method`: implement `estimate`. This is enough for an ONNX file, another framework or a service.
- `NetworkMethod`: implement `build_network`, `prepare`, `collate` and `predict`. crowdbench prepares examples
  in loader workers, batches images, and handles device, precision and weights.
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


Example = Any  # the prepared image; anything that can be pickled
Batch = Any  # the collated examples; `predict` moves them to the network's device


class Method(ABC):
    """A method configured for one dataset.

    Class attributes:
        paradigm: ``"top-down"`` methods receive boxes; other methods must ignore them.
        Settings: a frozen dataclass of everything that can change the method's numbers. Fields called
            ``flip_test`` and ``input_size`` (height, width) become part of a run's protocol.
        published: the settings that the method's paper uses, by dataset. ``"*"`` stands for every other
            dataset; without it, other datasets get ``Settings()``.
        takes_weights: whether `load_weights` is called with the file that ``--weights`` names.
        tracked_packages: installed packages, besides crowdbench's own, whose version can change a prediction.
            Their versions are part of a run's identity.
        include_boxes: write the boxes of poses to the results file; scoring then takes areas from boxes.
        reads_images: whether the method reads pixels. For one that does not, such as the replay of a results
            file, no speed is reported, and the contents of images are not part of a run's identity.
        notes: warnings for the record of a run, as sentences; read after `on_start` has returned.

    Args:
        keypoints: the keypoints to predict, in this order.
        settings: an instance of `Settings`.
        name: the method's name in records; `load_method` passes the name under which it was loaded.
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
        """Return the settings for a dataset before any override: those of `published`, or the defaults."""
        for name in (dataset, "*"):
            if name in cls.published:
                return cls.published[name]
        return cls.Settings()

    def __call__(self, image: NDArray[np.uint8], boxes: FloatArray | None = None) -> list[Pose]:
        """Call `estimate`, with an empty array if no boxes are given."""
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
            The poses in image coordinates, in any order.
        """

    def estimate_sample(self, sample: Sample) -> list[Pose]:
        """Find the poses in one image of a dataset. The default reads the image and calls `estimate`.

        Override this if the method needs more than pixels and boxes, or no pixels at all.
        """
        boxes = sample.boxes_xywh if self.paradigm == "top-down" else np.empty((0, 4))
        return self.estimate(sample.read(), boxes)

    def load_weights(self, weights: "Path") -> None:
        """Load the weights file. Called once before the first image if `takes_weights` is true.

        Raises:
            WeightsError: the file does not fit the method.
        """
        raise SettingsError(f"{self.name} takes no weights.")

    def on_start(self, samples: "Sequence[Sample]", complete: bool) -> None:  # noqa: B027  (most need nothing)
        """Called once with all images of the run, after `load_weights` and before the first image.

        Args:
            samples: all samples of the run, including those predicted before it was resumed.
            complete: whether they are a whole split.
        """

    def protocol_overrides(self) -> dict[str, Any]:
        """Return fields of `crowdbench.run_store.record.Protocol` to replace.

        For methods whose input was more, or less, than what crowdbench passed to them.
        """
        return {}


class NetworkMethod(Method):
    """A method that consists of one PyTorch module."""

    takes_weights = True
    #: The network that `estimate` uses; set by `load_weights`.
    loaded_network: "nn.Module | None" = None

    @abstractmethod
    def build_network(self) -> "nn.Module":
        """Build the network with the initial weights of a training."""

    @abstractmethod
    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Example:
        """Turn an image into the network's input. Called in loader workers.

        Args:
            sample: the image and its persons.
            rng: passed in training only: augment, and add targets. It is seeded by image and epoch; use no
                other source of random numbers.
        """

    @abstractmethod
    def collate(self, examples: Sequence[Example]) -> Batch:
        """Combine the examples of several images."""

    @abstractmethod
    def predict(self, network: "nn.Module", batch: Batch) -> list[list[Pose]]:
        """Run the network and decode its output. Called in eval mode and without gradients.

        Returns:
            The poses of each image of the batch, in image coordinates.
        """

    def convert_state_dict(self, state: "Mapping[str, Tensor]") -> "Mapping[str, Tensor]":
        """Rename published weights to the names of the network's state dict; all must match then."""
        return state

    def optimize_for_inference(
        self, network: "nn.Module", *, precision: Precision = "fp32", compiled: bool = False
    ) -> "nn.Module":
        """Make a network faster for inference without changing its results; may change it in place.

        Args:
            network: the network with its weights, in eval mode, on its device.
            precision: `predict` is called under autocast to it, unless it is ``"fp32"``.
            compiled: use `torch.compile`. The default compiles the network's ``forward``.
        """
        if compiled:
            network.compile(dynamic=True)
        return network

    def set_batch_limit(self, size: int) -> None:
        """Set how many persons (top-down) or images `predict` may pass to the network at a time.

        Called before the first batch, and with half the size after memory ran out. A batch is larger only if
        a single image has more persons; a method may then compute it in chunks.
        """

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> Recipe:
        """Return the recipe of the method's paper for a dataset, or a default for an unknown one.

        The recipe may be of a class derived from `Recipe` with fields of its own; all fields can be changed
        on the command line and are recorded.

        Raises:
            SettingsError: the method cannot be trained.
        """
        raise SettingsError(f"{cls.__name__} cannot be trained: it has no recipe.")

    def configure_training(self, recipe: Recipe) -> None:
        """Receive the recipe before the first training example is prepared."""

    def initialize_from(self, network: "nn.Module", state: "Mapping[str, Tensor]", source: str) -> list[str]:
        """Load initial weights, such as those of ImageNet or of a first stage, into a new network.

        The default requires weights of the same network: every name and shape must match.

        Args:
            network: the network; changed in place.
            state: tensors by name.
            source: the file's name in messages.

        Returns:
            The names of the tensors that were set.

        Raises:
            WeightsError: they do not fit.
        """
        load_weights(network, self.convert_state_dict(state), source)
        return list(network.state_dict())

    def loss(self, network: "nn.Module", batch: Batch) -> "dict[str, Tensor]":
        """Return the training losses by name; their sum is minimized.

        The network is in training mode, and may be wrapped for several processes: call it exactly once, as a
        function. Move `batch` to the network's device, as in `predict`.
        """
        raise SettingsError(f"{type(self).__name__} cannot be trained: it has no loss.")

    def count_targets(self, batch: Batch) -> int:
        """Return the number of persons, or images, over which the losses of a batch are averaged."""
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
