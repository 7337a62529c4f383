"""Call the hooks of a method and check that their results follow the contract.

Nothing else calls them. An author who returns a generator, a tensor for a number, or poses for two images
where one was asked for gets an error that names the image; a score of such poses would mean nothing.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

from crowdbench.api.method import Batch, Example, Method, NetworkMethod
from crowdbench.api.recipe import OLD_NAMES, Recipe
from crowdbench.api.types import KeypointSet, Pose, Precision, Sample
from crowdbench.errors import PluginError
from crowdbench.run_store.record import Protocol
from crowdbench.system.plugin_calls import calling

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

T = TypeVar("T")

# What a method may know better than crowdbench; what was measured on is not among it.
_KNOWN_BETTER = frozenset({"boxes", "flip_test", "input_size", "training_data", "changed_settings"})
_NAMED = 3  # images of a batch, in messages


def load_weights(method: Method, weights: "Path") -> None:
    """`Method.load_weights`."""
    with calling(method.name, "load_weights", str(weights)):
        method.load_weights(weights)


def on_start(method: Method, samples: Sequence[Sample], complete: bool) -> None:
    """`Method.on_start`."""
    with calling(method.name, "on_start"):
        method.on_start(samples, complete)


def protocol_overrides(method: Method, protocol: Protocol) -> Protocol:
    """A run's protocol with what the method knows better.

    Raises:
        PluginError: the method raised something; it says fields that do not exist or are crowdbench's to say,
            or values of the wrong kind.
    """
    with calling(method.name, "protocol_overrides"):
        found = method.protocol_overrides()
    if not isinstance(found, dict):
        raise PluginError(f"{method.name}: protocol_overrides must return a dict, not {_what(found)}.")
    others = sorted(str(name) for name in found.keys() - _KNOWN_BETTER)
    if others:
        raise PluginError(
            f"{method.name}: protocol_overrides may say {', '.join(sorted(_KNOWN_BETTER))}; it says "
            f"{', '.join(others)}, which crowdbench knows from the data itself."
        )
    try:
        return msgspec.convert({**dataclasses.asdict(protocol), **found}, Protocol)
    except msgspec.ValidationError as error:
        raise PluginError(f"{method.name}: protocol_overrides: {error}.") from error


def estimate(method: Method, sample: Sample) -> list[Pose]:
    """The poses in an image by a method without a network; PluginError if it raises or returns no poses."""
    with calling(method.name, "estimate", said([sample])):
        found = method.estimate_sample(sample)
    return _poses(method, "estimate", sample, found)


def build_network(method: NetworkMethod) -> "nn.Module":
    """`NetworkMethod.build_network`."""
    from torch import nn

    with calling(method.name, "build_network"):
        network = method.build_network()
    return _expected(method, "build_network", network, nn.Module, "a torch.nn.Module")


def convert_state_dict(method: NetworkMethod, state: "Mapping[str, Tensor]") -> "Mapping[str, Tensor]":
    """`NetworkMethod.convert_state_dict`."""
    with calling(method.name, "convert_state_dict"):
        found = method.convert_state_dict(state)
    if not isinstance(found, Mapping):
        raise PluginError(
            f"{method.name}: convert_state_dict must return tensors by name, not {_what(found)}."
        )
    return found


def optimize_for_inference(
    method: NetworkMethod, network: "nn.Module", *, precision: Precision, compiled: bool = False
) -> "nn.Module":
    """`NetworkMethod.optimize_for_inference`."""
    from torch import nn

    with calling(method.name, "optimize_for_inference"):
        found = method.optimize_for_inference(network, precision=precision, compiled=compiled)
    return _expected(method, "optimize_for_inference", found, nn.Module, "a torch.nn.Module")


def set_batch_limit(method: NetworkMethod, size: int) -> None:
    """`NetworkMethod.set_batch_limit`."""
    with calling(method.name, "set_batch_limit"):
        method.set_batch_limit(size)


def prepare(method: NetworkMethod, sample: Sample, rng: np.random.Generator | None = None) -> Example:
    """`NetworkMethod.prepare`."""
    with calling(method.name, "prepare", said([sample]), passing=is_out_of_memory):
        return method.prepare(sample) if rng is None else method.prepare(sample, rng)


def collate(method: NetworkMethod, examples: Sequence[Example]) -> Batch:
    """`NetworkMethod.collate`."""
    with calling(method.name, "collate", passing=is_out_of_memory):
        return method.collate(examples)


def predict(
    method: NetworkMethod, network: "nn.Module", batch: Batch, samples: Sequence[Sample]
) -> list[list[Pose]]:
    """The poses in each image of a batch.

    Args:
        method: whose network it is.
        network, batch: as `NetworkMethod.predict` takes them.
        samples: the images in the batch.

    Raises:
        PluginError: the method raised something, or did not return poses for each image.
        Exception: memory ran out; see `is_out_of_memory`.
    """
    with calling(method.name, "predict", said(samples), passing=is_out_of_memory):
        found = method.predict(network, batch)
    if not isinstance(found, list | tuple):
        raise PluginError(
            f"{method.name}: predict must return a list with the poses of each image; it returned "
            f"{_what(found)} for {said(samples)}."
        )
    if len(found) != len(samples):
        raise PluginError(
            f"{method.name}: predict returned poses of {len(found)} images for {len(samples)} images "
            f"({said(samples)}); it must return a list for each image, empty where no person is found."
        )
    return [_poses(method, "predict", *pair) for pair in zip(samples, found, strict=True)]


def published_recipe(method: NetworkMethod, dataset: str, keypoints: KeypointSet) -> Recipe:
    """`NetworkMethod.published_recipe`."""
    with calling(method.name, "published_recipe"):
        found = type(method).published_recipe(dataset, keypoints)
    recipe = _expected(method, "published_recipe", found, Recipe, "a crowdbench.api.recipe.Recipe")
    for old, new in OLD_NAMES.items():
        if hasattr(recipe, old):
            raise PluginError(
                f"{method.name}: {old} of a recipe is now called {new}. Rename it in its class."
            )
    return recipe


def configure_training(method: NetworkMethod, recipe: Recipe) -> None:
    """`NetworkMethod.configure_training`."""
    with calling(method.name, "configure_training"):
        method.configure_training(recipe)


def initialize_from(
    method: NetworkMethod, network: "nn.Module", state: "Mapping[str, Tensor]", source: str
) -> list[str]:
    """`NetworkMethod.initialize_from`."""
    with calling(method.name, "initialize_from", source):
        found = method.initialize_from(network, state, source)
    return list(_expected(method, "initialize_from", found, list, "the names of the tensors that were set"))


def loss(method: NetworkMethod, network: "nn.Module", batch: Batch) -> "dict[str, Tensor]":
    """The training losses of a batch by name, each a single number.

    Raises:
        PluginError: the method raised something, or did not return such losses.
        Exception: memory ran out; see `is_out_of_memory`.
    """
    import torch

    with calling(method.name, "loss", passing=is_out_of_memory):
        found = method.loss(network, batch)
    if not (
        isinstance(found, dict)
        and found
        and all(
            isinstance(name, str) and isinstance(value, torch.Tensor) and value.numel() == 1
            for name, value in found.items()
        )
    ):
        raise PluginError(
            f"{method.name}: loss must return a dict of tensors by name, each a single number; it returned "
            f"{_what(found)}."
        )
    return {name: value.reshape(()) for name, value in found.items()}


def count_targets(method: NetworkMethod, batch: Batch) -> int:
    """`NetworkMethod.count_targets`."""
    with calling(method.name, "count_targets"):
        found = method.count_targets(batch)
    try:
        count = int(found)
    except (TypeError, ValueError, OverflowError):
        count = -1
    if count < 0 or count != found:
        raise PluginError(
            f"{method.name}: count_targets must return how many persons or images are in a batch; it "
            f"returned {_what(found)}."
        )
    return count


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the machine or of an accelerator: smaller batches may do."""
    import torch

    # PyTorch has a class of its own for accelerators only.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def said(samples: Sequence[Sample]) -> str:
    """Which images, in words."""
    named = ", ".join(f"{s.image_id} ({s.path.name})" for s in samples[:_NAMED])
    more = f" and {len(samples) - _NAMED} more" if len(samples) > _NAMED else ""
    return f"image{'' if len(samples) == 1 else 's'} {named}{more}"


def _poses(method: Method, hook: str, sample: Sample, found: object) -> list[Pose]:
    if not isinstance(found, list | tuple):
        raise PluginError(
            f"{method.name}: {hook} must return a list of crowdbench.Pose for each image; it returned "
            f"{_what(found)} for {said([sample])}."
        )
    for pose in found:
        if not isinstance(pose, Pose):
            raise PluginError(
                f"{method.name}: {hook} must return a list of crowdbench.Pose for each image; for "
                f"{said([sample])} the list has {_what(pose)} in it."
            )
        if len(pose.keypoints) != method.keypoints.count:
            raise PluginError(
                f"{method.name}: {hook} returned {len(pose.keypoints)} keypoints for {said([sample])}; "
                f"{method.keypoints.name} has {method.keypoints.count}."
            )
    return list(found)


def _expected(method: Method, hook: str, found: object, kind: type[T], words: str) -> T:
    if not isinstance(found, kind) or isinstance(found, str):
        raise PluginError(f"{method.name}: {hook} must return {words}; it returned {_what(found)}.")
    return found


def _what(value: object) -> str:
    """A value in a few words."""
    if value is None:
        return "None"
    name = type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"a {name} of shape {tuple(map(int, shape))}"
    if isinstance(value, int | float | complex | str | bytes):
        text = repr(value)
        return text if len(text) <= 40 else f"a {name} ({text[:40]}...)"
    return f"a {name} of length {len(value)}" if isinstance(value, list | tuple | dict) else f"a {name}"
