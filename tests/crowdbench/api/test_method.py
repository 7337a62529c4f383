from dataclasses import dataclass
from typing import Any

import pytest
from toy_method import KEYPOINTS, BoxCentre, ToyNetwork, ToySettings

from crowdbench.api.method import load_method
from crowdbench.api.settings import override
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
