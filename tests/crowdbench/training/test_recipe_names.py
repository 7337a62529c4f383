"""Fields of a recipe by the names that they had before: accepted from users, refused in a plugin's class."""

import logging
from dataclasses import dataclass
from typing import Any

import pytest
from support.methods.trainable import TrainableToy

from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod
from crowdbench.api.recipe import Recipe
from crowdbench.api.types import KeypointSet
from crowdbench.errors import PluginError
from crowdbench.training import recipe_with


def toy(cls: type[NetworkMethod]) -> NetworkMethod:
    keypoints = load_method("hrnet-tiny", "synthcrowd").keypoints
    return cls(keypoints, cls.settings_for("synthcrowd"), "toy")


@pytest.mark.parametrize(
    ("old", "given", "new", "value"),
    [
        ("images", "4", "batch_size", 4),
        ("least_keypoints", "2", "min_keypoints", 2),
        ("drops", "[1, 2]", "milestones", (1, 2)),
        ("average", "persons", "loss_reduction", "persons"),
        ("batch_norm", "synchronised", "batch_norm", "synchronized"),
    ],
)
def test_an_old_name_means_the_new_one(
    caplog: pytest.LogCaptureFixture, old: str, given: str, new: str, value: Any
) -> None:
    with caplog.at_level(logging.WARNING, "crowdbench"):
        recipe = recipe_with(toy(TrainableToy), "synthcrowd", {old: given})
    assert getattr(recipe, new) == value
    assert (f"{old} is now called {new}" in caplog.text) == (old != new)


@dataclass(frozen=True)
class EarlierRecipe(Recipe):
    """As `crowdbench new-method` wrote it before."""

    images: int = 4


class Earlier(TrainableToy):
    """A method whose recipe would silently train with another batch size."""

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> Recipe:
        return EarlierRecipe()


def test_a_recipe_class_with_an_old_name_is_refused_and_the_new_one_named() -> None:
    with pytest.raises(PluginError, match=r"toy: images of a recipe is now called batch_size"):
        recipe_with(toy(Earlier), "synthcrowd", {})
