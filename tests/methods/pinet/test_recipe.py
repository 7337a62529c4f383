"""How PINet is trained, against the release's configurations (pinet/manifest.json)."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from crowdbench.api.dataset import dataset_class
from crowdbench.api.settings import override
from crowdbench.errors import SettingsError
from crowdbench.weights.table import weights_table
from crowdbench_pinet.recipe import Losses, PINetRecipe, Proposing, Targets, published

DATASETS = ["crowdpose", "ochuman", "coco"]


def recipe_of(dataset: str) -> PINetRecipe:
    return published(dataset, dataset_class(dataset).protocol.keypoints)  # type: ignore[attr-defined]


@pytest.mark.parametrize("dataset", DATASETS)
def test_recipes_are_those_of_the_released_configurations(goldens: Path, dataset: str) -> None:
    facts: dict[str, Any] = json.loads((goldens / "pinet/manifest.json").read_text())[dataset]
    recipe, train, targets = recipe_of(dataset), facts["train"], facts["targets"]
    assert recipe.optimizer == train["optimizer"]
    assert (recipe.learning_rate, recipe.weight_decay) == (train["lr"], train["weight_decay_used"])
    assert recipe.not_applied == {"WD": train["weight_decay_in_config_but_unused"]}
    assert (recipe.epochs, list(recipe.milestones)) == (train["epochs"], train["lr_steps"])
    assert (recipe.schedule, recipe.drop_factor) == ("steps", train["lr_factor"])
    assert (recipe.batch_size, recipe.processes) == (train["images_per_gpu"], train["gpus_published"])
    assert recipe.batch_norm == ("synchronized" if train["sync_bn"] else "process")
    assert (recipe.warmup_steps, recipe.clip_norm, recipe.ema) == (0, None, None)
    augmentation = recipe.augmentation
    assert augmentation.rotation_limit == train["max_rotation"]
    assert (augmentation.smallest_side, augmentation.largest_side) == (
        train["min_scale"],
        train["max_scale"],
    )
    assert augmentation.translation == train["max_translate"]
    assert augmentation.flip_probability == train["flip"]
    assert not augmentation.exact_mirror
    assert (recipe.input_size, recipe.heatmap_size) == (
        facts["input"]["input_size"],
        facts["input"]["output_size"],
    )
    assert (recipe.targets.sigma, recipe.targets.part_sigma) == (targets["sigma"], targets["part_sigma"])
    assert recipe.targets.background == targets["background_weight"]
    assert recipe.targets.offset_radius == targets["offset_radius"]
    assert recipe.proposing == Proposing(targets["max_proposals_per_part"], "minimum")
    factors = [facts["loss"][name] for name in ("heatmap", "offset", "refine", "smooth_l1_beta")]
    assert recipe.losses == Losses(*factors)


def test_small_persons_have_part_centres_on_crowdpose_alone_and_only_coco_has_masks() -> None:
    assert [recipe_of(d).targets.smallest_area for d in DATASETS] == [0, 1024, 1024]
    assert [recipe_of(d).targets.mask_ignored for d in DATASETS] == [False, False, True]


@pytest.mark.parametrize(
    ("dataset", "split", "validation"),
    [
        ("crowdpose", "trainval", None),
        ("ochuman", "val", None),
        ("coco", "train2017", None),
        ("synthcrowd", "train", "val"),
    ],
)
def test_recipes_train_on_splits_that_there_are_and_never_choose_on_a_test_split(
    dataset: str, split: str, validation: str | None
) -> None:
    recipe = recipe_of(dataset)
    assert (recipe.split, recipe.validation_split) == (split, validation)
    assert {split, validation} - {None} <= set(dataset_class(dataset).splits)


def test_every_start_is_in_a_table_of_weights() -> None:
    assert {recipe_of(d).start for d in [*DATASETS, "synthcrowd"]} <= set(weights_table())


def test_the_learning_rate_falls_after_the_epochs_of_the_release() -> None:
    rates = {epoch: recipe_of("crowdpose").rate(epoch) for epoch in (0, 199, 200, 259, 260, 299)}
    assert list(rates.values()) == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])


def test_every_quirk_can_be_turned_off_from_the_command_line() -> None:
    changed = override(
        recipe_of("coco"),
        {
            "augmentation.exact_mirror": "true",
            "targets.smallest_area": "0",
            "proposing.count": "maximum",
            "losses.refine": "0.1",
        },
        of="the recipe",
    )
    assert changed.augmentation.exact_mirror
    assert changed.targets == Targets(smallest_area=0, mask_ignored=True)
    assert changed.proposing == Proposing(count="maximum")
    assert changed.losses.refine == 0.1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"input_size": 500}, "input_size"),
        ({"input_size": 0}, "input_size"),
        ({"targets.sigma": 0.0}, "sigma"),
        ({"targets.background": -0.1}, "background"),
        ({"targets.smallest_area": math.nan}, "smallest_area"),
        ({"targets.offset_radius": 0}, "offset_radius"),
        ({"proposing.limit": 0}, "limit"),
        ({"input_size": 32, "proposing.limit": 65}, "limit"),
        ({"losses.beta": 0.0}, "beta"),
        ({"losses.offset": -1.0}, "offset"),
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        override(PINetRecipe(), changes, of="the recipe")


def test_only_on_coco_images_with_few_keypoints_are_left_out() -> None:
    assert [recipe_of(d).min_keypoints for d in [*DATASETS, "synthcrowd"]] == [1, 1, 11, 1]
