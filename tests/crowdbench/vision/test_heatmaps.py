"""Decoding and targets, against numbers of the released I2R-Net's decoder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.goldens import load_arrays

from crowdbench.errors import ShapeError
from crowdbench.vision.geometry import centers_and_scales, crop_affines, transform_points
from crowdbench.vision.heatmaps import average_flipped, blur, decode_dark, gaussian_targets, rescore

DECODED = [pytest.param("14_64x48", id="14 keypoints"), pytest.param("17_96x72", id="17, larger")]
PAIRS = {14: range(0, 12, 2), 17: range(1, 17, 2)}


def flip_order(count: int) -> list[int]:
    order = list(range(count))
    for left in PAIRS[count]:
        order[left], order[left + 1] = left + 1, left
    return order


@pytest.mark.parametrize("name", DECODED)
def test_keypoints_are_found_where_the_released_decoder_finds_them(goldens: Path, name: str) -> None:
    golden = load_arrays(goldens / f"i2rnet/decode_{name}.npz")
    positions, confidences = decode_dark(golden["heatmaps"])
    np.testing.assert_allclose(positions, golden["coords_heatmap"], atol=2e-5)
    np.testing.assert_array_equal(confidences, golden["maxvals"][:, :, 0])
    back = crop_affines(golden["center"], golden["scale"], golden["heatmaps"].shape[2:], inverse=True)
    np.testing.assert_allclose(transform_points(positions, back), golden["preds"], atol=1e-4)


@pytest.mark.parametrize("name", DECODED)
def test_the_flip_test_averages_and_decodes_as_released(goldens: Path, name: str) -> None:
    golden = load_arrays(goldens / f"i2rnet/decode_{name}.npz")
    heatmaps = torch.from_numpy(golden["heatmaps"])
    mirrored = torch.from_numpy(golden["heatmaps_of_flipped_input"])
    averaged = average_flipped(heatmaps, mirrored, flip_order(heatmaps.shape[1])).numpy()
    golden.assert_close("averaged_sub", averaged[:, :, ::4, ::4], rtol=1e-7, atol=1e-7)
    positions, confidences = decode_dark(averaged)
    back = crop_affines(golden["center"], golden["scale"], averaged.shape[2:], inverse=True)
    np.testing.assert_allclose(transform_points(positions, back), golden["flip_preds"], atol=1e-4)
    np.testing.assert_allclose(confidences, golden["flip_maxvals"][:, :, 0], atol=1e-7)


@pytest.mark.parametrize("name", DECODED)
def test_whole_maps_are_smoothed_as_released(goldens: Path, name: str) -> None:
    golden = load_arrays(goldens / f"i2rnet/decode_{name}.npz")
    heatmaps = golden["heatmaps"]
    smooth = blur(heatmaps).astype(np.float32)
    with np.errstate(invalid="ignore"):  # one map is zero everywhere
        smooth *= (heatmaps.max(axis=(2, 3)) / smooth.max(axis=(2, 3)))[:, :, None, None]
    golden.assert_close("blurred_sub", smooth[:, :, ::4, ::4], rtol=1e-7, atol=1e-6)


def test_decoding_finds_the_middle_of_a_gaussian_between_pixels() -> None:
    truth = np.array([[[10.3, 20.8], [30.0, 40.5], [24.9, 5.2]]])
    heatmaps, _ = gaussian_targets(truth, np.ones((1, 3)), (64, 48))
    positions, confidences = decode_dark(heatmaps)
    np.testing.assert_allclose(positions, truth, atol=0.02)
    assert (confidences > 0.9).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 20))
def test_scaling_heatmaps_scales_confidences_and_moves_nothing(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(2, 44, (2, 3, 2))
    heatmaps = gaussian_targets(truth, np.ones((2, 3)), (64, 48))[0] + np.float32(0.01)
    positions, confidences = decode_dark(heatmaps)
    scaled, louder = decode_dark(heatmaps * np.float32(factor))
    np.testing.assert_allclose(scaled, positions, atol=1e-3)
    np.testing.assert_allclose(louder, confidences * factor, rtol=1e-5)


def test_flat_and_noisy_maps_decode_as_if_smoothed_whole() -> None:
    """An untrained network's maps: peaks so flat that the rounding of float32 moves them."""
    maps = np.random.default_rng(1).normal(0, 1, (8, 14, 64, 48)).astype(np.float32) + np.float32(0.5)
    positions, confidences = decode_dark(maps)
    smooth = blur(maps).astype(np.float32)
    smooth *= (confidences / smooth.max(axis=(2, 3)))[:, :, None, None]
    log = np.log(np.maximum(smooth, np.float32(1e-10)))
    for person, keypoint in np.ndindex(8, 14):
        y, x = divmod(int(maps[person, keypoint].argmax()), 48)
        if not (1 < x < 46 and 1 < y < 62):
            continue
        near = log[person, keypoint, y - 2 : y + 3, x - 2 : x + 3]
        gradient = 0.5 * np.array([near[2, 3] - near[2, 1], near[3, 2] - near[1, 2]])
        dxx = 0.25 * (near[2, 4] - 2 * near[2, 2] + near[2, 0])
        dyy = 0.25 * (near[4, 2] - 2 * near[2, 2] + near[0, 2])
        dxy = 0.25 * (near[3, 3] - near[1, 3] - near[3, 1] + near[1, 1])
        step = -np.linalg.solve(np.array([[dxx, dxy], [dxy, dyy]]), gradient)
        np.testing.assert_allclose(
            positions[person, keypoint], [x + step[0], y + step[1]], rtol=1e-4, atol=1e-4
        )


def test_a_map_without_a_positive_value_decodes_to_the_origin() -> None:
    heatmaps = np.zeros((1, 2, 64, 48), dtype=np.float32)
    heatmaps[0, 1] = -1
    positions, confidences = decode_dark(heatmaps)
    assert positions.tolist() == [[[0, 0], [0, 0]]]
    assert confidences.tolist() == [[0, -1]]


@pytest.mark.parametrize(
    ("x", "y"), [(0, 10), (1, 10), (46, 10), (47, 10), (10, 0), (10, 1), (10, 62), (10, 63)]
)
def test_a_peak_at_the_border_stays_on_its_pixel(x: int, y: int) -> None:
    heatmaps, _ = gaussian_targets(np.array([[[x, y]]]), np.ones((1, 1)), (64, 48))
    positions, _ = decode_dark(heatmaps)
    assert positions.tolist() == [[[x, y]]]


def test_of_two_equal_peaks_the_upper_left_one_counts() -> None:
    heatmaps = np.zeros((1, 1, 64, 48), dtype=np.float32)
    heatmaps[0, 0, 30, 40] = heatmaps[0, 0, 31, 5] = 1
    positions, _ = decode_dark(heatmaps)
    assert positions.tolist() == [[[40, 30]]]


def test_maps_smaller_than_the_kernel_are_decoded() -> None:
    heatmaps, _ = gaussian_targets(np.array([[[4.4, 5.3]]]), np.ones((1, 1)), (10, 9))
    positions, _ = decode_dark(heatmaps)
    np.testing.assert_allclose(positions, [[[4.4, 5.3]]], atol=0.5)


def test_no_persons_are_no_error() -> None:
    positions, confidences = decode_dark(np.zeros((0, 14, 64, 48), dtype=np.float32))
    assert positions.shape == (0, 14, 2)
    assert confidences.shape == (0, 14)


def test_heatmaps_of_the_wrong_rank_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(14, 64, 48\)"):
        decode_dark(np.zeros((14, 64, 48)))


@pytest.mark.parametrize("name", ["crowdpose_256x192", "ochuman_256x192", "coco_256x192", "coco_384x288"])
def test_targets_equal_the_released_ones(reference: Path, real_data: Path, name: str) -> None:
    golden = np.load(reference / f"i2rnet/pipeline_{name}.npz")
    size = (96, 72) if "384" in name else (64, 48)
    input_size = (size[0] * 4, size[1] * 4)
    centers, scales = centers_and_scales(golden["box_xywh"], input_size)
    back = crop_affines(centers, scales, input_size, inverse=True)
    labelled = golden["joints_vis"][:, :, :1]
    # In the golden file, labelled keypoints are mapped to the crop and others left where they are.
    joints = golden["joints_input"][:, :, :2]
    in_image = np.where(labelled > 0, transform_points(joints, back), joints)
    on_map = transform_points(in_image, crop_affines(centers, scales, size))
    positions = np.where(labelled > 0, on_map, joints)
    targets, weights = gaussian_targets(positions, labelled[:, :, 0], size)
    np.testing.assert_array_equal(weights, golden["target_weight"][:, :, 0])
    np.testing.assert_allclose(targets.sum(axis=(2, 3)), golden["target_sum"], atol=5e-4)
    np.testing.assert_array_equal(targets.reshape(*weights.shape, -1).argmax(axis=2), golden["target_argmax"])


def test_a_target_just_outside_the_map_still_weighs() -> None:
    _, weights = gaussian_targets(
        np.array([[[-7.9, 10], [-8.1, 10], [53.9, 10], [54.0, 10]]]), np.ones((1, 4)), (64, 48)
    )
    assert weights.tolist() == [[1, 0, 1, 0]]


def test_only_confident_keypoints_count_in_a_score() -> None:
    scores = rescore([1.0, 0.5, 1.0], [[0.9, 0.5, 0.1], [0.4, 0.2, 0.0], [0.1, 0.0, 0.2]], threshold=0.2)
    np.testing.assert_allclose(scores, [0.7, 0.2, 0.0])
