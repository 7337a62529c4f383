from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.methods.toy import KEYPOINTS, BoxCentre, ToyNetwork, ToySettings

from crowdbench import load_dataset
from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod
from crowdbench.api.settings import override
from crowdbench.api.types import LoadedImage
from crowdbench.errors import SettingsError, UnknownNameError


@dataclass(frozen=True)
class Settings:
    input_size: tuple[int, int] = (256, 192)
    flip_test: bool = True
    threshold: float = 0.9
    kind: str = "dark"


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("input_size", (384, 288), (384, 288)),
        ("input_size", "[384, 288]", (384, 288)),
        ("input_size", "384x288", (384, 288)),
        ("flip_test", "false", False),
        ("flip_test", False, False),
        ("threshold", "0.5", 0.5),
        ("threshold", 1, 1.0),
        ("kind", "0.5", "0.5"),
        ("kind", "argmax", "argmax"),
    ],
)
def test_settings_are_overridden_from_python_and_from_the_command_line(
    name: str, given: Any, stored: Any
) -> None:
    assert getattr(override(Settings(), {name: given}, of="some-method"), name) == stored


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("input_size", "384"),
        ("input_size", "384x"),
        ("input_size", "3x8x4"),
        ("input_size", (1, 2, 3)),
        ("flip_test", "maybe"),
        ("threshold", "high"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_setting(name: str, given: Any) -> None:
    with pytest.raises(SettingsError, match=name):
        override(Settings(), {name: given}, of="some-method")


def test_an_unknown_setting_suggests_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="Did you mean 'flip_test'"):
        override(Settings(), {"fliptest": False}, of="some-method")


def test_an_unknown_method_suggests_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'i2rnet-vanilla'"):
        load_method("i2rnet-vanila", "crowdpose")


def test_an_unknown_dataset_suggests_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'crowdpose'"):
        load_method("i2rnet-vanilla", "crowd-pose")


def test_a_method_that_is_built_by_hand_is_called_by_its_class() -> None:
    assert BoxCentre(KEYPOINTS, BoxCentre.Settings()).name == "BoxCentre"


def test_a_method_without_a_loss_says_that_it_cannot_be_trained() -> None:
    method = ToyNetwork(KEYPOINTS, ToySettings())
    with pytest.raises(SettingsError, match="cannot be trained"):
        method.loss(method.build_network(), None)


@pytest.mark.parametrize("name", ["hrnet-tiny", "pinet-tiny"])
def test_a_method_with_weights_is_callable_on_an_image(name: str) -> None:
    """With the poses that `crowdbench predict` gives the same image with the same boxes."""
    from crowdbench.prediction import Estimator
    from crowdbench.weights import resolve_weights

    sample = load_dataset("synthcrowd")[0]
    size = getattr(load_method(name, "synthcrowd").settings, "input_size", None)
    file = resolve_weights("published", method=name, dataset="synthcrowd", input_size=size).path
    assert file is not None
    method = load_method(name, "synthcrowd")
    assert isinstance(method, NetworkMethod)
    method.load_weights(file)
    boxes = sample.boxes_xywh if method.paradigm == "top-down" else None
    found = method(sample.read(), boxes)

    estimator = Estimator.load(load_method(name, "synthcrowd"), "synthcrowd", device="cpu")
    instances = sample.instances if boxes is not None else ()
    image = LoadedImage(0, Path("image"), sample.width, sample.height, instances, pixels=sample.read())
    ((_, expected),) = estimator.poses([image])
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=0.05)


def test_a_call_without_weights_or_boxes_says_what_is_missing() -> None:
    method = load_method("hrnet-tiny", "synthcrowd")
    image = np.zeros((64, 48, 3), np.uint8)
    with pytest.raises(SettingsError, match="has no weights yet. Call load_weights"):
        method(image, np.array([[0.0, 0.0, 40.0, 60.0]]))
    with pytest.raises(SettingsError, match="pass boxes"):
        method(image)
