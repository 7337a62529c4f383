"""How the methods are trained, against the release's configurations (i2rnet/manifest.json)."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdbench.api.dataset import dataset_class
from crowdbench.api.load_method import load_method
from crowdbench.api.recipe import Recipe
from crowdbench.errors import SettingsError
from crowdbench.weights.table import weights_table
from crowdbench_backbones.top_down.augmentation import Augmentation
from crowdbench_backbones.top_down.method import TopDownMethod
from crowdbench_backbones.top_down.recipes import TopDownRecipe

FIRST_STAGES = {
    "i2rnet-vanilla": "hrnet-w48-s",
    "i2rnet-transpose": "transpose-h",
    "i2rnet-hrformer": "hrformer-b",
}
DATASETS = ["crowdpose", "ochuman", "coco"]
TINY = ["hrnet-tiny", "i2rnet-tiny"]
EVERY = [*FIRST_STAGES, *FIRST_STAGES.values(), *TINY]


def configured(name: str, dataset: str) -> TopDownMethod:
    method = load_method(name, dataset)
    assert isinstance(method, TopDownMethod)
    return method


def recipe_of(name: str, dataset: str) -> TopDownRecipe:
    method = configured(name, dataset)
    recipe = method.published_recipe(dataset, method.keypoints)
    assert isinstance(recipe, TopDownRecipe)
    return recipe


@pytest.fixture(scope="module")
def manifest(goldens: Path) -> dict[str, Any]:
    configs: dict[str, Any] = json.loads((goldens / "i2rnet/manifest.json").read_text())["configs"]
    return configs


def test_recipes_are_those_of_the_released_configurations(manifest: dict[str, Any]) -> None:
    for config, facts in manifest.items():
        recipe, train, data = recipe_of(facts["variant"], facts["dataset"]), facts["train"], facts["data"]
        assert recipe.optimizer == train["optimizer"], config
        assert recipe.epochs == train["epochs"], config
        assert recipe.processes == train["gpus_in_readme"], config
        assert (recipe.learning_rate, recipe.final_learning_rate) == (train["lr"], train["lr_end"]), config
        assert recipe.schedule == train["schedule"].split()[0] == "cosine", config
        assert recipe.weight_decay == train["wd_applied"] == 0, config
        if facts["model"]["image_size_wh"] == [192, 256]:
            assert recipe.batch_size == train["images_per_gpu"], config
        augmentation = recipe.augmentation
        assert augmentation.half_body_keypoints == data["num_joints_half_body"], config
        assert augmentation.half_body_probability == data["prob_half_body"], config
        assert augmentation.rotation_std == data["rot_factor"], config
        assert augmentation.scale_std == data["scale_factor"] == augmentation.scale_limit, config
        assert augmentation.flip_probability == data["flip"] / 2, config
        assert recipe.target_sigma == facts["model"]["sigma"], config
        unused = {
            "WD": train["wd_in_config"],
            "MOMENTUM": train["momentum"],
            "NESTEROV": train["nesterov"],
            "GAMMA1": train["gamma1"],
            "GAMMA2": train["gamma2"],
            "LR_STEP": tuple(train["lr_step_unused"]),
            "LR_FACTOR": train["lr_factor_unused"],
        }
        assert recipe.not_applied == unused, config


def test_recipes_begin_with_the_files_of_the_released_configurations(manifest: dict[str, Any]) -> None:
    files = {name: entry.file for name, entry in weights_table().items()}
    for config, facts in manifest.items():
        if facts["model"]["image_size_wh"] != [192, 256]:
            continue
        start = recipe_of(facts["variant"], facts["dataset"]).start
        assert start is not None
        model = facts["model"]
        assert files[start] == (model["single_checkpoint"] or model["imagenet_checkpoint"]), config


@pytest.mark.parametrize(
    ("dataset", "split", "validation"),
    [
        ("crowdpose", "trainval", None),
        ("ochuman", "val", None),
        ("coco", "train2017", None),
        ("synthcrowd", "train", "val"),
    ],
)
@pytest.mark.parametrize("name", [*FIRST_STAGES, *FIRST_STAGES.values()])
def test_recipes_train_on_splits_that_there_are_and_never_choose_on_a_test_split(
    name: str, dataset: str, split: str, validation: str | None
) -> None:
    recipe = recipe_of(name, dataset)
    assert (recipe.split, recipe.validation_split) == (split, validation)
    splits = dataset_class(dataset).splits
    assert {split, validation} - {None} <= set(splits)


@pytest.mark.parametrize("dataset", [*DATASETS, "synthcrowd"])
@pytest.mark.parametrize("name", FIRST_STAGES)
def test_a_first_stage_by_itself_is_trained_as_the_network_around_it_but_for_its_start(
    name: str, dataset: str
) -> None:
    whole, alone = recipe_of(name, dataset), recipe_of(FIRST_STAGES[name], dataset)
    assert alone.start in ("hrnet-w48-s/imagenet", "hrformer-b/imagenet")
    assert replace(alone, start=whole.start, not_applied=whole.not_applied) == whole


@pytest.mark.parametrize("dataset", [*DATASETS, "synthcrowd"])
@pytest.mark.parametrize("name", EVERY)
def test_every_start_is_in_a_table_of_weights(name: str, dataset: str) -> None:
    start = recipe_of(name, dataset).start
    assert start in set(weights_table()) | ({None} if name in TINY else set())


def test_both_tiny_networks_learn_by_one_recipe_from_nothing() -> None:
    recipes = [recipe_of(name, dataset) for name in TINY for dataset in [*DATASETS, "synthcrowd"]]
    assert recipes.count(recipes[0]) == len(recipes)
    assert recipes[0].start is None


@pytest.mark.parametrize("name", EVERY)
def test_examples_and_targets_are_made_by_the_recipe(name: str) -> None:
    method = configured(name, "crowdpose")
    recipe = replace(
        recipe_of(name, "crowdpose"), augmentation=Augmentation(flip_probability=1.0), target_sigma=1.25
    )
    method.configure_training(recipe)
    assert method.augmentation.flip_probability == 1
    assert method.target_sigma == 1.25


def test_a_recipe_without_augmentation_is_refused() -> None:
    with pytest.raises(SettingsError, match="TopDownRecipe"):
        configured("hrnet-tiny", "crowdpose").configure_training(Recipe())


@pytest.mark.parametrize("sigma", [0.0, -1.0, np.nan])
def test_targets_without_width_are_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="target_sigma"):
        TopDownRecipe(target_sigma=sigma)


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "methods.md").read_text()


@pytest.mark.parametrize("dataset", [*DATASETS, "synthcrowd"])
@pytest.mark.parametrize("name", [*FIRST_STAGES, *TINY])
def test_the_page_tells_every_recipe_as_it_is(name: str, dataset: str) -> None:
    (table,) = re.findall(r"^\| method \| dataset \| epochs .*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    here = dataset if dataset in DATASETS else "other"
    (row,) = (row for row in rows if f"`{name}`" in row[0] and row[1] in (here, "all"))
    recipe = recipe_of(name, dataset)
    first, last = (float(rate) for rate in row[5].split(" → "))
    start = None if row[7] == "nothing" else row[7].strip("`")
    told = [int(row[2]), int(row[3]), int(row[4]), first, last, row[6], start]
    assert told == [
        recipe.epochs,
        recipe.batch_size,
        recipe.processes,
        recipe.learning_rate,
        recipe.final_learning_rate,
        recipe.split,
        recipe.start,
    ]
