"""What the author of a method writes.

A method turns images into poses. It never opens a dataset, never touches a cluster, never scores itself.
Two shapes, one interface:

- `Method`: implement `estimate`. Enough to benchmark anything: an ONNX file, another framework, a service.
- `NetworkMethod`: implement `network`, `prepare`, `collate`, `predict`. The bench then runs preparation in
  loader workers, batches images, and owns device, precision and weights.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from crowdbench import plugins
from crowdbench.api.recipe import Recipe
from crowdbench.api.settings import NoSettings, override, settings_as_values
from crowdbench.api.types import FloatArray, KeypointSet, Paradigm, Pose, Precision, Sample
from crowdbench.errors import PluginError, SettingsError
from crowdbench.system.plugin_calls import calling, refuse_renamed_hooks
from crowdbench.weights.checkpoint_file.state_dict import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from crowdbench.api.dataset import Dataset


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
        tracked_packages: installed packages, beside the bench's own, whose version can change a prediction; a
            run with another version is another run.
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
        """Be given the weights' file, once, before the first image; see `takes_weights`.

        Raises:
            WeightsError: the file is not what the method needs.
        """
        raise SettingsError(f"{self.name} takes no weights.")

    def on_start(self, samples: "Sequence[Sample]", complete: bool) -> None:  # noqa: B027  (most need nothing)
        """Be told what will be asked for, once, after `load` and before the first image.

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

    @abstractmethod
    def build_network(self) -> "nn.Module":
        """Build the network, with the weights a training would start from."""

    @abstractmethod
    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Example:
        """Turn an image into what the network eats. Runs in loader workers.

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
        """Be told how many persons (top-down) or images `predict` may have in the network at a time.

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
        """Be told the recipe, before anything is prepared with a generator."""

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

    def estimate(self, image: NDArray[np.uint8], boxes: FloatArray) -> list[Pose]:
        """Not used: the bench runs network methods in batches (`crowdbench.evaluation.evaluate`)."""
        raise NotImplementedError("a network method is run through prepare, collate and predict")


# Hooks by the names that they had before version 0.1.0.
_RENAMED_OF_ALL = {
    "begin": "on_start",
    "known_protocol": "protocol_overrides",
    "computed_with": "tracked_packages",
    "writes_boxes": "include_boxes",
    "load": "load_weights",
    "published_settings": "published (a mapping from datasets to settings)",
}
_RENAMED = {
    **_RENAMED_OF_ALL,
    "network": "build_network",
    "released_weights": "convert_state_dict",
    "for_inference": "optimize_for_inference",
    "at_once": "set_batch_limit",
    "train_with": "configure_training",
    "start_from": "initialize_from",
    "counted": "count_targets",
}


def method_class(name: str) -> type[Method]:
    """The class behind a method's name."""
    found = plugins.load("method", name)
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise PluginError(f"method {name!r} stands for {found!r}, which is no subclass of crowdbench.Method.")
    require_contract(found, name)
    return found


def refuse_network_options(cls: type[Method], name: str, precision: Precision, compiled: bool) -> None:
    """See that nobody asks a method without a network for what only a network has.

    Raises:
        SettingsError: a precision, or compilation, that would change nothing.
    """
    if issubclass(cls, NetworkMethod) or (precision == "fp32" and not compiled):
        return
    option = f"--precision {precision}" if precision != "fp32" else "--compile"
    raise SettingsError(
        f"{name} has no network that this bench runs, so {option} would change nothing. Leave it out."
    )


def require_contract(cls: type[Method], name: str) -> None:
    """See that a method's class says what the bench has to know of it.

    Raises:
        PluginError: its paradigm is none, or its settings are no dataclass.
    """
    paradigm = getattr(cls, "paradigm", None)
    known = get_args(Paradigm)
    if not (isinstance(paradigm, str) and paradigm in known):
        raise PluginError(
            f"method {name!r}: {cls.__name__}.paradigm must be one of {', '.join(map(repr, known))}, "
            + ("and is not set." if paradigm is None else f"and is {paradigm!r}.")
        )
    if not (isinstance(cls.Settings, type) and dataclasses.is_dataclass(cls.Settings)):
        raise PluginError(
            f"method {name!r}: {cls.__name__}.Settings must be a dataclass, as in @dataclass(frozen=True), "
            f"and is {cls.Settings!r}."
        )
    if not isinstance(cls.published, Mapping):
        raise PluginError(
            f"method {name!r}: {cls.__name__}.published must map datasets to settings, not {cls.published!r}."
        )
    renamed = _RENAMED if issubclass(cls, NetworkMethod) else _RENAMED_OF_ALL
    refuse_renamed_hooks(f"method {name!r}", cls, renamed)
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"method {name!r}: {cls.__name__} does not define {', '.join(missing)}.")


def load_method(name: str, dataset: "str | Dataset", **settings: Any) -> Method:
    """Configure an installed method for a dataset.

    Args:
        name: as `crowdbench methods` lists it.
        dataset: a dataset's name, or an opened dataset.
        settings: overrides, by name; values may be strings, as on the command line.

    Raises:
        UnknownNameError: no such method or dataset.
        SettingsError: no such setting, or a value of the wrong kind.
    """
    from crowdbench.api.dataset import dataset_class

    cls = method_class(name)
    opened = dataset_class(dataset) if isinstance(dataset, str) else dataset
    published = published_settings(cls, name, opened.name)
    configured = override(published, settings, of=name)
    with calling(name, "__init__"):
        method = cls(opened.keypoints, configured, name)
    require_whole(method)
    return method


def published_settings(cls: type[Method], name: str, dataset: str) -> Any:
    """`Method.settings_for`, checked.

    Raises:
        PluginError: the plugin's code raised something, or the settings are not an instance of a dataclass.
    """
    with calling(name, "Settings"):
        found = cls.settings_for(dataset)
    settings_as_values(found, f"{name}: the settings for {dataset}")
    return found


def require_whole(method: Method) -> None:
    """See that a method is what the bench takes it for, whoever has built it.

    Raises:
        PluginError: it is no method, its class breaks the contract, or it lacks keypoints, settings or name.
    """
    if not isinstance(method, Method):
        raise PluginError(f"{method!r} is no instance of crowdbench.Method.")
    name = getattr(method, "name", None)
    if not (isinstance(name, str) and name):
        raise PluginError(
            f"{type(method).__name__} has no name; its __init__ must call that of crowdbench.Method, which "
            "sets keypoints, settings and name."
        )
    require_contract(type(method), name)
    if not isinstance(getattr(method, "keypoints", None), KeypointSet) or not hasattr(method, "settings"):
        raise PluginError(
            f"{name}: {type(method).__name__}.__init__ must call that of crowdbench.Method, which sets "
            "keypoints, settings and name."
        )
    settings_as_values(method.settings, f"{name}: settings")
