"""What images become for training: examples, batches, and the losses of a network's outputs for them.

Single steps are held against the release in the tests beside this one; here they are held together.
"""

import dataclasses
import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.reference import pinet_targets as plain_pinet
from support.reference.i2rnet_networks import filling
from torch import Tensor

from crowdbench.api.dataset import load_dataset
from crowdbench.api.types import Sample
from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14
from crowdbench_pinet.augmentation import Augmentation, View, draw, view
from crowdbench_pinet.body_parts import part_keypoints
from crowdbench_pinet.network import Maps, Poses
from crowdbench_pinet.recipe import Losses, PINetRecipe, Proposing, Targets, published
from crowdbench_pinet.targets import inside, offset_targets
from crowdbench_pinet.training_examples import (
    Points,
    Supervised,
    SupervisedBatch,
    join,
    supervise,
    training_losses,
)
from crowdbench_pinet.training_proposals import candidates

Array = NDArray[Any]
SPLITS = {"crowdpose": "test", "ochuman": "val", "coco": "val2017"}
SETS = {"crowdpose": CROWDPOSE_14, "ochuman": COCO_17, "coco": COCO_17}
RECIPE = PINetRecipe()


@pytest.fixture(scope="module")
def golden(goldens: Path) -> Any:
    return np.load(goldens / "pinet/targets_loss.npz")


def samples(real_data: Path, dataset: str) -> list[Sample]:
    opened = load_dataset(dataset, split=SPLITS[dataset], root=real_data / dataset)
    return [sample for sample in opened if sample.instances]


def example_of(sample: Sample, dataset: str, seed: int, recipe: PINetRecipe) -> tuple[Supervised, View]:
    draws = draw(np.random.default_rng(seed), recipe.augmentation)
    seen = view(draws, sample.width, sample.height, recipe.augmentation)
    return supervise(sample, seen, SETS[dataset], recipe), seen


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors of nested dataclasses."""
    for entry in dataclasses.fields(value):
        found = getattr(value, entry.name)
        if isinstance(found, Tensor):
            yield found
        elif dataclasses.is_dataclass(found):
            yield from tensors(found)


def dense_offsets(batch: SupervisedBatch) -> tuple[Tensor, Tensor]:
    """``(B, P * K * 2, h, h)`` twice: offsets and weights."""
    rows, size = batch.rows, batch.counted.shape[-1]
    keypoints = rows.weights.shape[1]
    values = torch.zeros(len(batch), 3, keypoints, 2, size * size)
    weights = torch.zeros_like(values)
    values[rows.images, rows.parts, :, :, rows.pixels] = rows.values
    weights[rows.images, rows.parts, :, :, rows.pixels] = rows.weights[..., None]
    return values.view(len(batch), -1, size, size), weights.view(len(batch), -1, size, size)


@pytest.mark.parametrize("dataset", SPLITS)
def test_a_batch_is_what_the_plain_steps_make_of_its_images(real_data: Path, dataset: str) -> None:
    recipe, keypoint_set = published(dataset, SETS[dataset]), SETS[dataset]
    chosen = sorted(samples(real_data, dataset), key=lambda sample: -len(sample.instances))[:4]
    made = [example_of(sample, dataset, seed, recipe) for seed, sample in enumerate(chosen)]
    batch = join([example for example, _ in made], keypoint_set, recipe)
    heatmaps, weights = batch.heatmaps(recipe.targets)
    offsets, offset_weights = dense_offsets(batch)
    for row, (sample, (_, seen)) in enumerate(zip(chosen, made, strict=True)):
        people = np.array([person.keypoints for person in sample.instances])
        keypoints = seen.keypoints(people, 128, keypoint_set.flip_order)
        areas = np.array([seen.area(person.box_area, 512) for person in sample.instances])
        smallest = recipe.targets.smallest_area
        centers = plain_pinet.part_centers(keypoints, areas, part_keypoints(keypoint_set), smallest)
        values, of_values = plain_pinet.offsets(keypoints, centers, areas, 128, 2)
        np.testing.assert_array_equal(offsets[row].numpy(), values.reshape(-1, 128, 128))
        both = np.repeat(of_values[:, :, None], 2, axis=2)
        np.testing.assert_array_equal(offset_weights[row].numpy(), both.reshape(-1, 128, 128))
        plain = [plain_pinet.heatmaps(points, 128, 2.0) for points in (keypoints, centers)]
        maps, near = (np.concatenate(kind) for kind in zip(*plain, strict=True))
        np.testing.assert_allclose(heatmaps[row].numpy(), maps, rtol=2e-7, atol=0)
        known = np.ones((sample.height, sample.width), dtype=bool)
        for outline in sample.ignored if dataset == "coco" else ():
            known &= ~outline.mask(sample.height, sample.width)
        counted = seen.mask(known, 128)
        expected = np.where(near, np.float32(1), np.float32(0.1)) * counted
        np.testing.assert_array_equal(weights[row].numpy(), expected)
        np.testing.assert_array_equal(batch.pixels[row].numpy(), seen.image(sample.read(), 512))
        for part, pixel, value, weight in zip(
            batch.proposals.part.tolist(),
            batch.proposals.pixel[row].tolist(),
            batch.proposed_values[row],
            batch.proposed_weights[row],
            strict=True,
        ):
            np.testing.assert_array_equal(value, values[part, :, :, pixel // 128, pixel % 128])
            np.testing.assert_array_equal(weight, of_values[part, :, pixel // 128, pixel % 128])


def synthetic(golden: Any, dataset: str) -> SupervisedBatch:
    """The release's two synthetic images of maps of 32x32."""
    examples = []
    for image in (0, 1):
        case = f"synthetic/{dataset}/image{image}/"
        keypoints, centers = golden[f"{case}joints"], golden[f"{case}part_joints"]
        offsets = offset_targets(keypoints, centers, golden[f"{case}area"].ravel(), 32, 2)
        peaks = []
        for points in (keypoints, centers):
            person, channel = np.nonzero(inside(points, 32))
            peaks.append(Points(points[person, channel, :2], channel))
        part_maps = golden[f"{case}partmap"]
        pixels = np.zeros((128, 128, 3), dtype=np.uint8)
        examples.append(Supervised(pixels, golden[f"{case}mask"], *peaks, candidates(offsets, part_maps)))
    return join(examples, SETS[dataset], RECIPE)


@pytest.mark.parametrize("dataset", ["crowdpose", "coco"])
def test_losses_of_a_batch_are_the_released_ones(goldens: Path, golden: Any, dataset: str) -> None:
    fill, batch, count = filling().input, synthetic(golden, dataset), SETS[dataset].count
    offsets, _ = dense_offsets(batch)
    maps = Maps(
        torch.empty(2, 0, 32, 32),
        0.3 * fill(f"pinet/loss/{dataset}/heat", (2, count, 32, 32)),
        0.3 * fill(f"pinet/loss/{dataset}/part", (2, 3, 32, 32)),
        offsets + fill(f"pinet/loss/{dataset}/offset", (2, 6 * count, 32, 32)),
    )
    corrected = batch.proposed_values + in_our_order(golden, dataset, batch, fill)
    predicted = torch.randn_like(corrected)
    poses = Poses(predicted, corrected - predicted, corrected)
    losses = training_losses(maps, poses, batch, Targets(), Losses())
    facts = json.loads((goldens / "pinet/targets_loss.json").read_text())["synthetic"][dataset]
    for name, factor in zip(("heatmap", "offset", "refine"), facts["weights"], strict=True):
        assert losses[name].item() == pytest.approx(factor * facts["unweighted"][name], rel=1e-5)
    assert sum(losses.values()).item() == pytest.approx(facts["total"], rel=1e-5)  # type: ignore[union-attr]


def in_our_order(golden: Any, dataset: str, batch: SupervisedBatch, fill: Any) -> Tensor:
    """The release's disturbance of the refined offsets; its proposals have an order of their own."""
    case = f"synthetic/{dataset}/batch/proposals."
    parts = [golden[f"{case}part{part}"] for part in range(3)]
    keys = np.concatenate([32 * 32 * part + pixels for part, pixels in enumerate(parts)], axis=1)
    own = (32 * 32 * batch.proposals.part + batch.proposals.pixel).numpy()
    shape = (2, keys.shape[1], 2 * SETS[dataset].count)
    noise = 0.2 * fill(f"pinet/loss/{dataset}/refined", shape)
    places = [{key: place for place, key in enumerate(image.tolist())} for image in keys]
    order = np.array([[places[i][key] for key in image.tolist()] for i, image in enumerate(own)])
    taken: Tensor = noise[torch.arange(2)[:, None], torch.from_numpy(order)]
    return taken.unflatten(2, (-1, 2))


def perfect(batch: SupervisedBatch) -> tuple[Maps, Poses]:
    """What a network would say that has learned everything."""
    heatmaps, _ = batch.heatmaps(Targets())
    keypoints = batch.rows.weights.shape[1]
    offsets, _ = dense_offsets(batch)
    maps = Maps(torch.empty(0), heatmaps[:, :keypoints], heatmaps[:, keypoints:], offsets)
    values = batch.proposed_values
    return maps, Poses(values, torch.zeros_like(values), values)


def test_a_perfect_network_has_no_loss_and_every_mistake_has_its_own(golden: Any) -> None:
    batch = synthetic(golden, "coco")
    maps, poses = perfect(batch)

    def losses(**wrong: Any) -> dict[str, bool]:
        own = {n: t for n, t in wrong.items() if n != "corrections"}
        refined = replace(poses, corrections=wrong.get("corrections", poses.corrections))
        found = training_losses(replace(maps, **own), refined, batch, Targets(), Losses())
        return {name: loss.item() != 0 for name, loss in found.items()}

    assert losses() == {"heatmap": False, "offset": False, "refine": False}
    assert losses(heatmaps=maps.heatmaps + 1) == {"heatmap": True, "offset": False, "refine": False}
    assert losses(parts=maps.parts + 1) == {"heatmap": True, "offset": False, "refine": False}
    assert losses(offsets=maps.offsets + 1) == {"heatmap": False, "offset": True, "refine": False}
    assert losses(corrections=poses.corrections + 1) == {
        "heatmap": False,
        "offset": False,
        "refine": True,
    }


def test_the_refinements_loss_teaches_the_corrections_and_not_the_offsets(golden: Any) -> None:
    batch = synthetic(golden, "coco")
    maps, poses = perfect(batch)
    offsets = (poses.offsets + 1).requires_grad_()
    corrections = torch.zeros_like(offsets).requires_grad_()
    losses = training_losses(maps, Poses(offsets, corrections, offsets), batch, Targets(), Losses())
    losses["refine"].backward()  # type: ignore[no-untyped-call]
    assert offsets.grad is None
    assert corrections.grad is not None
    assert ((corrections.grad != 0) == (batch.proposed_weights > 0)[..., None]).all()


def test_an_equal_generator_gives_an_equal_example_and_examples_survive_pickling(
    real_data: Path,
) -> None:
    sample = samples(real_data, "crowdpose")[0]
    first, second = (example_of(sample, "crowdpose", 5, RECIPE)[0] for _ in range(2))
    again = pickle.loads(pickle.dumps(first))  # noqa: S301  (our own)
    for other in (second, again):
        one, two = (join([example], CROWDPOSE_14, RECIPE) for example in (first, other))
        for own, theirs in zip(tensors(one), tensors(two), strict=True):
            assert torch.equal(own, theirs)


def test_examples_are_smaller_than_maps_would_be(real_data: Path) -> None:
    (sample, *_) = sorted(samples(real_data, "coco"), key=lambda sample: -len(sample.instances))
    example, _ = example_of(sample, "coco", 0, published("coco", COCO_17))
    targets = len(pickle.dumps(replace(example, pixels=np.empty(0, dtype=np.uint8))))
    assert len(sample.instances) == 13
    assert targets < 200_000  # of float32 maps it would be 14 megabytes


def test_images_without_persons_are_all_background(real_data: Path) -> None:
    sample, *_ = samples(real_data, "crowdpose")
    nobody = replace(sample, instances=())
    examples = [example_of(s, "crowdpose", 1, RECIPE)[0] for s in (nobody, sample, nobody)]
    batch = join(examples, CROWDPOSE_14, RECIPE)
    heatmaps, weights = batch.heatmaps(Targets(background=0.25))
    assert not heatmaps[[0, 2]].any()
    assert heatmaps[1].amax() > 0.9
    assert set(weights[0].unique().tolist()) == {0.0, 0.25}
    assert batch.proposals.pixel.shape == (3, 120)
    assert not batch.proposed_weights[[0, 2]].any()
    alone = join(examples[:1], CROWDPOSE_14, RECIPE)
    maps, poses = perfect(alone)
    disturbed = replace(maps, offsets=maps.offsets + 1)
    losses = training_losses(
        disturbed, replace(poses, corrections=poses.corrections + 1), alone, Targets(), Losses()
    )
    assert {name: loss.item() for name, loss in losses.items()} == {"heatmap": 0, "offset": 0, "refine": 0}


def test_who_is_ignored_counts_only_where_the_recipe_says_so(real_data: Path) -> None:
    for sample in samples(real_data, "coco"):
        if sample.ignored:
            counted = [
                example_of(sample, "coco", 2, PINetRecipe(targets=Targets(mask_ignored=masked)))[0].counted
                for masked in (True, False)
            ]
            if not np.array_equal(*counted):
                assert not (counted[0] & ~counted[1]).any()
                return
    pytest.fail("nobody who is ignored was seen")


def test_small_persons_stand_in_heatmaps_but_propose_nothing(real_data: Path) -> None:
    sample, *_ = samples(real_data, "crowdpose")
    example, _ = example_of(sample, "crowdpose", 1, PINetRecipe(targets=Targets(smallest_area=1e6)))
    assert len(example.keypoints.channels)
    assert not len(example.centers.channels)
    assert not len(example.candidates.scores)


def test_inputs_may_be_of_other_sizes(real_data: Path) -> None:
    recipe = PINetRecipe(input_size=256, proposing=Proposing(count="maximum"))
    example, _ = example_of(samples(real_data, "crowdpose")[0], "crowdpose", 1, recipe)
    batch = join([example, example], CROWDPOSE_14, recipe)
    assert batch.pixels.shape == (2, 256, 256, 3)
    assert batch.heatmaps(recipe.targets)[0].shape == (2, 17, 64, 64)


def test_every_tensor_of_a_batch_moves_to_the_device(golden: Any) -> None:
    batch = synthetic(golden, "coco")
    there = batch.to("meta")
    assert len(there) == len(batch) == 2
    moved = list(tensors(there))
    assert len(moved) == len(list(tensors(batch))) == 15
    assert {tensor.device.type for tensor in moved} == {"meta"}


def test_a_stronger_augmentation_changes_nothing_that_it_does_not_name(real_data: Path) -> None:
    sample = samples(real_data, "ochuman")[0]
    released = example_of(sample, "ochuman", 11, RECIPE)[1]
    exact = PINetRecipe(augmentation=Augmentation(exact_mirror=True, rotation_limit=60))
    changed = example_of(sample, "ochuman", 11, exact)[1]
    assert changed == replace(released, exact_mirror=True, rotation=2 * released.rotation)
