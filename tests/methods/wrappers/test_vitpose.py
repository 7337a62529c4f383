"""ViTPose: against transformers' own processor and model, with small random networks."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from crowdbench.api.load_method import load_method
from crowdbench.api.types import Instance, Pose, Sample
from crowdbench.engine.network import build_network
from crowdbench.errors import InputError, SettingsError, WeightsError
from crowdbench.weights.checkpoint_file.state_dict import load_weights, read_state_dict
from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14
from crowdbench_wrappers import vitpose
from crowdbench_wrappers.vitpose import Size, ViTPose, ViTPoseSettings

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small networks are tiny ones."""
    monkeypatch.setitem(vitpose.SIZES, "small", Size(16, 2, 2, 4))


@pytest.fixture(scope="module")
def processor() -> Any:
    from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

    return VitPoseImageProcessorPil()


def method(keypoints: Any = COCO_17, **changes: Any) -> ViTPose:
    return ViTPose(keypoints, ViTPoseSettings(**{"variant": "small-simple", **changes}), "vitpose")


def sample(folder: Path, image: NDArray[np.uint8], boxes: list[list[float]], scores: list[float]) -> Sample:
    path = folder / "image.png"
    cv2.imwrite(str(path), image[:, :, ::-1])
    instances = tuple(
        Instance(np.array(box), np.zeros((17, 3)), 1.0, score=score)
        for box, score in zip(boxes, scores, strict=True)
    )
    return Sample(1, path, image.shape[1], image.shape[0], instances, box_source="detector")


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random, and smooth enough to be an image."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def poses(method: ViTPose, network: nn.Module, of: Sample) -> list[Pose]:
    with torch.inference_mode():
        (found,) = method.predict(network, method.collate([method.prepare(of)]))
    return found


class Heatmaps(nn.Module):
    """Gives the same heatmaps whatever it sees."""

    def __init__(self, heatmaps: NDArray[np.float32]) -> None:
        super().__init__()
        self.heatmaps = nn.Parameter(torch.from_numpy(heatmaps))

    def forward(self, images: Tensor, flip_pairs: Tensor | None) -> SimpleNamespace:
        assert len(images) == len(self.heatmaps)
        return SimpleNamespace(heatmaps=self.heatmaps)


def gaussians(centers: NDArray[np.float64], sigma: float = 2.0, height: float = 0.8) -> NDArray[np.float32]:
    """``(n, K, 64, 48)`` of ``(n, K, 2)``."""
    x, y = centers[..., 0, None, None], centers[..., 1, None, None]
    squared = (np.arange(48) - x) ** 2 + (np.arange(64)[:, None] - y) ** 2
    return (height * np.exp(-squared / (2 * sigma**2))).astype(np.float32)


BOXES = [
    [30.5, 20.25, 100, 170],
    [-20, 250, 90, 60],
    [200, 100, 33.3, 150.7],
    [0, 0, 400, 300],
    [390, 290, 40, 40],
]


@pytest.mark.parametrize(("height", "width"), [(300, 400), (5, 6), (4, 700), (601, 37)], ids=str)
def test_crops_are_those_of_the_processor(tmp_path: Path, processor: Any, height: int, width: int) -> None:
    image = noise(height, width)
    boxes = [*BOXES, [0.0, 0, width, height]]
    expected = processor(image, boxes=[boxes], return_tensors="np", input_data_format="channels_last")
    given = sample(tmp_path, image, boxes, [1.0] * len(boxes))
    batch = method().collate([method().prepare(given)])
    # Both round to whole grey levels, of which one is 0.0175 of the normalised range at most.
    difference = np.abs(batch.images().numpy() - expected["pixel_values"])
    assert difference.max() < 0.018
    assert (difference > 1e-5).mean() < 1e-4


@pytest.mark.parametrize(("height", "width", "lit"), [(1, 1, 0), (1, 700, 0), (3, 3, 4)])
def test_images_that_the_processor_cannot_take_are_cropped_by_the_same_rule(
    tmp_path: Path, height: int, width: int, lit: int
) -> None:
    """Of images this small it takes another axis for the colours."""
    image = np.full((height, width, 3), 200, dtype=np.uint8)
    # The middle of the crop, between two of its pixels, is the image's first pixel; all are about as large. An
    # image reaches from the centre of its first pixel to that of its last, which of one row is no way at all.
    (crop,) = method().prepare(sample(tmp_path, image, [[-76.5, -102, 153, 204]], [1.0])).pixels
    assert (crop == 200).all(axis=2).sum() == lit
    assert (crop > 0).any(axis=2).sum() == lit


def test_poses_are_those_of_the_processor(tmp_path: Path, processor: Any) -> None:
    rng = np.random.default_rng(1)
    heatmaps = gaussians(rng.uniform([0, 0], [47, 63], (5, 17, 2)))
    heatmaps += rng.normal(0, 0.01, heatmaps.shape).astype(np.float32)
    outputs = SimpleNamespace(heatmaps=torch.from_numpy(heatmaps))
    (expected,) = processor.post_process_pose_estimation(outputs, [[np.array(box) for box in BOXES]])
    plain = method(flip_test=False, nms_threshold=1, confidence_threshold=-1)
    found = poses(plain, Heatmaps(heatmaps), sample(tmp_path, noise(300, 400), BOXES, [1.0] * 5))
    assert len(found) == 5
    for box, theirs in zip(BOXES, expected, strict=True):
        (mine,) = [pose for pose in found if np.array_equal(pose.box_xywh, box)]
        np.testing.assert_allclose(mine.keypoints[:, :2], theirs["keypoints"], atol=2e-3)
        np.testing.assert_allclose(mine.keypoints[:, 2], theirs["scores"])


@settings(max_examples=60, deadline=None)
@given(x=st.floats(4, 43), y=st.floats(4, 59))
def test_a_peak_between_pixels_is_found(x: float, y: float) -> None:
    positions, confidences = vitpose._decoded(gaussians(np.array([[[x, y]]])), 11)
    np.testing.assert_allclose(positions[0, 0], [x, y], atol=0.01)
    assert confidences[0, 0] == pytest.approx(0.8, rel=0.07)


@settings(max_examples=60, deadline=None)
@given(scale=st.floats(20, 2000), aspect=st.floats(0.1, 10), place=st.tuples(*[st.floats(-300, 900)] * 2))
def test_a_keypoint_that_was_cropped_and_decoded_is_where_it_was(
    scale: float, aspect: float, place: tuple[float, float]
) -> None:
    """The map of crops and the map of decoding are each other's inverse."""
    assume(scale * aspect < 5000)
    box = np.array([[*place, scale * aspect, scale]])
    centers, scales = vitpose._centers_and_scales(box, (256, 192), 1.25)
    for axis, (pixels, heat) in enumerate(((192, 48), (256, 64))):
        side = scales[0, axis] * 200
        first, _, part, inside = vitpose._readings(centers[0, axis], side, pixels, 10_000)
        image = first + part
        decoded = inside / (pixels - 1) * side + centers[0, axis] - side / 2
        np.testing.assert_allclose(image, decoded, atol=2e-3 * max(1, side / 1000))
        assert heat * 4 == pixels


def test_a_keypoint_without_any_signal_has_no_confidence_and_a_finite_place(tmp_path: Path) -> None:
    heatmaps = np.full((1, 17, 64, 48), -1e-3, dtype=np.float32)
    heatmaps[0, 3, 30, 20] = 1
    (pose,) = poses(
        method(flip_test=False), Heatmaps(heatmaps), sample(tmp_path, noise(90, 80), [[5, 5, 40, 60]], [1.0])
    )
    assert pose.score == 1
    assert (np.delete(pose.keypoints[:, 2], 3) < 0).all()


def test_a_pose_scores_its_box_times_its_confidence_and_doubles_go(tmp_path: Path) -> None:
    heatmaps = gaussians(np.tile([[[20.0, 30]]], (3, 17, 1)))
    boxes = [[10, 10, 40, 60], [10.2, 10, 40, 60], [60, 20, 30, 60]]
    of = sample(tmp_path, noise(100, 100), boxes, [0.5, 1.0, 0.25])
    found = poses(method(flip_test=False), Heatmaps(heatmaps), of)
    assert [pose.score for pose in found] == pytest.approx([0.8, 0.2], rel=1e-3)
    assert len(poses(method(flip_test=False, nms_threshold=1), Heatmaps(heatmaps), of)) == 3


@pytest.mark.parametrize("variant", ["small-simple", "small", "plus-small"])
def test_heatmaps_are_the_mean_of_both_of_transformers(tmp_path: Path, variant: str) -> None:
    asked = method(variant=variant, dataset_index=2 if variant == "plus-small" else 0, input_size=(64, 48))
    network = build_network(asked, None, device=CPU)
    batch = asked.collate([asked.prepare(sample(tmp_path, noise(300, 400), BOXES, [1.0] * 5))])
    images = batch.images()
    dataset = torch.full((5,), 2)
    with torch.inference_mode():
        plain = network(images, dataset_index=dataset).heatmaps
        pairs = torch.tensor(COCO_17.flip_pairs)
        mirrored = network(images.flip(-1), dataset_index=dataset, flip_pairs=pairs).heatmaps
        asked.set_batch_limit(2)  # of five persons
        found = asked._heatmaps(network, batch)
    np.testing.assert_allclose(found, (plain + mirrored) / 2, atol=1e-6)
    assert np.abs(found - plain.numpy()).max() > 1e-4  # the mirrored crop does count


def test_the_experts_of_another_dataset_give_other_heatmaps(tmp_path: Path) -> None:
    given = sample(tmp_path, noise(90, 80), [[5, 5, 40, 60]], [1.0])
    maps = []
    for index in (0, 1):
        asked = method(variant="plus-small", dataset_index=index, input_size=(64, 48))
        with torch.inference_mode():
            maps.append(
                asked._heatmaps(build_network(asked, None, device=CPU), asked.collate([asked.prepare(given)]))
            )
    assert np.abs(maps[0] - maps[1]).max() > 1e-6


def test_a_box_of_no_size_has_a_finite_pose(tmp_path: Path) -> None:
    heatmaps = gaussians(np.full((1, 17, 2), 20.0))
    (pose,) = poses(
        method(flip_test=False), Heatmaps(heatmaps), sample(tmp_path, noise(50, 50), [[7, 9, 0, 0]], [1.0])
    )
    np.testing.assert_array_equal(pose.keypoints[:, :2], [[7, 9]] * 17)


def test_images_without_persons_have_no_poses(tmp_path: Path) -> None:
    asked = method(input_size=(64, 48))
    network = build_network(asked, None, device=CPU)
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    full.mkdir()
    examples = [
        asked.prepare(sample(empty, noise(50, 50), [], [])),
        asked.prepare(sample(full, noise(50, 60), [[5, 5, 40, 40]], [1.0])),
    ]
    with torch.inference_mode():
        assert [len(found) for found in asked.predict(network, asked.collate(examples))] == [0, 1]
        assert asked.predict(network, asked.collate(examples[:1])) == [[]]


@pytest.mark.parametrize("variant", ["small-simple", "small", "plus-small"])
def test_a_model_that_transformers_saved_is_loaded_whole(tmp_path: Path, variant: str) -> None:
    asked = method(variant=variant)
    torch.manual_seed(5)
    saved: Any = asked.build_network()
    saved.save_pretrained(tmp_path)
    network = build_network(asked, tmp_path / "model.safetensors", device=CPU)
    for name, tensor in saved.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, rtol=0, atol=0)


def test_weights_of_another_variant_or_layout_are_refused(tmp_path: Path) -> None:
    save_file(method().build_network().state_dict(), tmp_path / "m.safetensors")
    state = read_state_dict(tmp_path / "m.safetensors")
    other = method(variant="small")
    with pytest.raises(WeightsError, match=r"missing: head\.batchnorm1"):
        load_weights(other.build_network(), other.convert_state_dict(state), "m.safetensors")
    with pytest.raises(WeightsError, match="17 keypoints a person; crowdpose-14 has 14: left_shoulder"):
        method(CROWDPOSE_14).convert_state_dict(state)


def test_the_published_sizes_have_the_published_numbers_of_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    with torch.device("meta"):
        # Millions, as the paper's table 2 of ViTPose prints them, with the classic decoder.
        for variant, millions in (("base", 86), ("large", 307), ("huge", 632)):
            network = method(variant=variant).build_network()
            assert sum(p.numel() for p in network.backbone.parameters()) / 1e6 == pytest.approx(
                millions, rel=0.02
            )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"variant": "giant"}, "variant"),
        ({"dataset_index": 1}, "dataset_index"),
        ({"variant": "plus-base", "dataset_index": 6}, "dataset_index"),
        ({"input_size": "250x192"}, "divisible by 16"),
        ({"blur_kernel": 4}, "odd"),
        ({"box_enlargement": 0}, "positive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load_method("vitpose", "coco", **changes)


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r'pip install "crowdbench\[vitpose\]"'):
        load_method("vitpose", "coco").build_network()  # type: ignore[attr-defined]
