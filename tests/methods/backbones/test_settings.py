"""What a top-down method's settings do: by default what the release does, and otherwise what they say."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crowdbench import evaluate, load_dataset
from crowdbench.api.load_method import load_method
from crowdbench.api.types import Instance, Pose, Sample
from crowdbench.errors import SettingsError
from crowdbench_backbones.networks.hrformer import WINDOW, LocalAttention
from crowdbench_backbones.top_down.crops import CropBatch, Persons
from crowdbench_backbones.top_down.method import TopDownMethod

Float32Array = NDArray[np.float32]

# Two crops of 150 x 200 pixels, one upon the other.
CENTERS = np.full((2, 2), 500, dtype=np.float32)
SCALES = np.array([[0.75, 1]] * 2, dtype=np.float32)
PIXEL = 47 / 149  # of the image, in pixels of heatmaps of 64 x 48


def method_of(dataset: str, name: str = "hrnet-w48-s", **settings: Any) -> TopDownMethod:
    method = load_method(name, dataset, **settings)
    assert isinstance(method, TopDownMethod)
    return method


class Recalls(nn.Module):
    """A network that has been asked before: heatmaps of the crops, then of the mirrored crops."""

    def __init__(self, *heatmaps: Float32Array) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.answers = [torch.from_numpy(maps) for maps in heatmaps]

    def forward(self, images: Tensor) -> Tensor:
        return self.answers.pop(0)


def located(
    method: TopDownMethod,
    *heatmaps: Float32Array,
    centers: Float32Array = CENTERS,
    scales: Float32Array = SCALES,
    scores: Sequence[float] = (),
) -> list[Pose]:
    """The poses of one image, in the order of their rows, which are noted in the boxes of 120 x 160."""
    count = len(centers)
    boxes = np.array([[row, 0, 120, 160] for row in range(count)], dtype=np.float64)
    persons = Persons(centers, scales, boxes, np.array(scores or [1.0] * count))
    size = method.settings.input_size
    batch = CropBatch(torch.zeros(count, *size, 3, dtype=torch.uint8), persons, [count])
    with torch.inference_mode():
        (poses,) = method.predict(Recalls(*heatmaps), batch)
    return sorted(poses, key=row_of)


def row_of(pose: Pose) -> int:
    assert pose.box_xywh is not None
    return int(pose.box_xywh[0])


@pytest.mark.parametrize(
    ("file", "dataset", "size"), [("14_64x48", "crowdpose", (256, 192)), ("17_96x72", "coco", (384, 288))]
)
@pytest.mark.parametrize(("flip_test", "prefix"), [(True, "flip_"), (False, "")])
def test_heatmaps_become_the_released_keypoints_with_and_without_flip_test(
    goldens: Path, file: str, dataset: str, size: tuple[int, int], flip_test: bool, prefix: str
) -> None:
    golden = np.load(goldens / f"i2rnet/decode_{file}.npz")
    changes: dict[str, Any] = {} if flip_test else {"flip_test": False}
    poses = located(
        method_of(dataset, input_size=size, nms_threshold=1, **changes),
        golden["heatmaps"],
        golden["heatmaps_of_flipped_input"],
        centers=golden["center"],
        scales=golden["scale"],
    )
    found = np.stack([pose.keypoints for pose in poses])
    np.testing.assert_allclose(found[:, :, :2], golden[f"{prefix}preds"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[:, :, 2], golden[f"{prefix}maxvals"][:, :, 0], rtol=0, atol=1e-6)


def images_of(golden: dict[str, Any]) -> list[tuple[int, NDArray[np.float32], Persons]]:
    """Each image of a file of released results: keypoints with confidences, and persons."""
    inputs = {name: np.array(values) for name, values in golden["inputs"].items()}
    found = []
    for image in np.unique(inputs["image_id"]):
        rows = inputs["image_id"] == image
        persons = Persons(
            inputs["center"][rows].astype(np.float32),
            inputs["scale"][rows].astype(np.float32),
            np.zeros((rows.sum(), 4)),
            inputs["box_score"][rows],
        )
        found.append((int(image), inputs["keypoints"][rows].astype(np.float32), persons))
    return found


@pytest.mark.parametrize("name", ["crowdpose_gtbox", "crowdpose_det", "coco_gtbox", "coco_det"])
def test_with_default_settings_the_poses_that_stay_and_their_scores_are_the_released_ones(
    goldens: Path, name: str
) -> None:
    golden = json.loads((goldens / f"i2rnet/postprocess_{name}.json").read_text())
    tied = json.loads((goldens / "i2rnet/postprocess_ties.json").read_text())
    method = method_of(name.split("_", maxsplit=1)[0])
    compared = 0
    for image, keypoints, persons in images_of(golden):
        if str(image) in tied[f"postprocess_{name}.json"]["oks_nms"]:
            continue  # the release leaves their order to the processor
        poses = method._poses(keypoints.astype(np.float64), persons, np.arange(len(keypoints)))
        written = [entry for entry in golden["outputs"]["oks_nms"] if entry["image_id"] == image]
        assert len(poses) == len(written)
        for pose, entry in zip(poses, written, strict=True):
            np.testing.assert_allclose(pose.keypoints.ravel(), entry["keypoints"], rtol=0, atol=1e-4)
            np.testing.assert_allclose(pose.score, entry["score"], rtol=1e-6)
            compared += 1
    assert compared > 5


def two_poses(method: TopDownMethod, moved: int, by: int) -> list[Pose]:
    """What is kept of two poses in the same place, but for a keypoint of the second, moved by image pixels."""
    count = method.keypoints.count
    positions = np.tile(np.linspace((12, 12), (30, 50), count), (2, 1, 1))
    positions[1, moved, 0] += by * PIXEL
    y, x = np.mgrid[:64, :48]
    distances = (x - positions[..., :1, None]) ** 2 + (y - positions[..., 1:, None]) ** 2
    heatmaps = np.exp(-distances / 8)
    return located(method, heatmaps.astype(np.float32), scores=[0.9, 0.8])


def test_on_crowdpose_heads_must_lie_closer_to_be_doubles_than_the_scoring_would_have_it() -> None:
    """The release gives heads a smaller sigma than the dataset, so that their distance counts more."""
    head, distance, area = 12, 20, 150 * 200
    doubles = {
        sigma: (13 + math.exp(-(distance**2) / (2 * (2 * sigma) ** 2 * area))) / 14
        for sigma in (0.062, 0.079)
    }
    between = sum(doubles.values()) / 2
    released = method_of("crowdpose", flip_test=False, nms_threshold=between)
    datasets = method_of("crowdpose", flip_test=False, nms_threshold=between, nms_sigmas=None)
    assert "head" in released.keypoints.keypoints[head]
    assert len(two_poses(released, head, distance)) == 2
    assert len(two_poses(datasets, head, distance)) == 1


@pytest.mark.parametrize(("threshold", "kept"), [(0.9, 1), (1, 2)])
def test_the_threshold_of_suppression_says_which_doubles_stay(threshold: float, kept: int) -> None:
    poses = two_poses(method_of("coco", flip_test=False, nms_threshold=threshold), moved=0, by=3)
    assert [row_of(pose) for pose in poses] == list(range(kept))


def test_boxes_are_smaller_than_crops_so_that_fewer_poses_are_doubles() -> None:
    """As the release does it, an area of 150 x 200; of boxes, 120 x 160."""
    distance, sigma = 20, 0.026  # the nose's
    doubles = {
        area: (16 + math.exp(-(distance**2) / (2 * (2 * sigma) ** 2 * area))) / 17
        for area in (150 * 200, 120 * 160)
    }
    between = sum(doubles.values()) / 2
    for chosen, kept in (({}, 1), ({"nms_area": "box"}, 2)):
        settings: dict[str, Any] = {"flip_test": False, "nms_threshold": between, **chosen}
        assert len(two_poses(method_of("coco", **settings), moved=0, by=distance)) == kept


@pytest.mark.parametrize(
    ("settings", "mean"),
    [
        ({}, 0.6),
        ({"confidence_threshold": 0}, (2 * 0.6 + 15 * 0.1) / 17),
        ({"confidence_threshold": 0.7}, 0),
    ],
)
def test_only_keypoints_above_the_confidence_threshold_make_a_score(
    settings: dict[str, Any], mean: float
) -> None:
    method = method_of("coco", flip_test=False, nms_threshold=1, **settings)
    count = method.keypoints.count
    grid = np.zeros((2, count, 64, 48), dtype=np.float32)
    grid[:, :, 20, 20] = [0.6, 0.6, *[0.1] * (count - 2)]
    poses = located(method, grid, scores=[0.9, 0.8])
    np.testing.assert_allclose([pose.score for pose in poses], [0.9 * mean, 0.8 * mean], rtol=1e-6)


@pytest.mark.parametrize("kernel", [None, 13, 17])
def test_the_blur_before_decoding_is_opencvs_of_that_width(kernel: int | None) -> None:
    chosen: dict[str, Any] = {} if kernel is None else {"blur_kernel": kernel}
    method = method_of("coco", flip_test=False, nms_threshold=1, **chosen)
    rng = np.random.default_rng(0)
    heatmaps = rng.uniform(0, 0.2, (2, method.keypoints.count, 64, 48)).astype(np.float32)
    heatmaps[:, :, 30, 20], heatmaps[:, :, 31, 21] = 1, 0.8
    poses = located(method, heatmaps)
    width = kernel or 11
    for pose, maps in zip(poses, heatmaps, strict=True):
        for point, heatmap in zip(pose.keypoints, maps, strict=True):
            padded = np.pad(heatmap.astype(np.float64), 32)
            smooth = cv2.GaussianBlur(padded, (width, width), 0)
            logs = np.log(smooth[32 + 28 : 32 + 33, 32 + 18 : 32 + 23])
            gradient = np.array([logs[2, 3] - logs[2, 1], logs[3, 2] - logs[1, 2]]) / 2
            across = (logs[3, 3] - logs[1, 3] - logs[3, 1] + logs[1, 1]) / 4
            along_x = (logs[2, 4] - 2 * logs[2, 2] + logs[2, 0]) / 4
            along_y = (logs[4, 2] - 2 * logs[2, 2] + logs[0, 2]) / 4
            step = -np.linalg.solve([[along_x, across], [across, along_y]], gradient)
            in_image = (np.array([20, 30]) + step - (23.5, 31.5)) / PIXEL + 500
            np.testing.assert_allclose(point[:2], in_image, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "share"), [({}, 1 / 1.25**2), ({"box_enlargement": 1}, 1), ({"box_enlargement": 2}, 1 / 4)]
)
def test_a_box_fills_as_much_of_its_crop_as_the_enlargement_leaves(
    tmp_path: Path, settings: dict[str, Any], share: float
) -> None:
    image = np.zeros((600, 600, 3), dtype=np.uint8)
    image[200:400, 200:350] = 255  # as wide and high as a crop is
    path = tmp_path / "image.png"
    assert cv2.imwrite(str(path), image)
    box = np.array([200.0, 200, 150, 200])
    sample = Sample(1, path, 600, 600, (Instance(box, np.zeros((17, 3)), area=1.0),))
    crops = method_of("coco", **settings).prepare(sample)
    np.testing.assert_allclose(crops.pixels.mean() / 255, share, rtol=0.02)


def windowed(attention: LocalAttention, x: Tensor, bias: bool, mask: bool) -> Tensor:
    """Attention in windows of a map ``(H, W, C)``, pixel by pixel as its paper states it."""
    inner = attention.attn
    height, width, channels = x.shape
    head = channels // inner.heads
    top, left = -height % WINDOW // 2, -width % WINDOW // 2
    mixed = torch.zeros_like(x)
    for y0 in range(-top, height, WINDOW):
        for x0 in range(-left, width, WINDOW):
            places = [(y0 + i, x0 + j) for i in range(WINDOW) for j in range(WINDOW)]
            real = [0 <= y < height and 0 <= x_ < width for y, x_ in places]
            pixels = torch.stack(
                [
                    x[place] if there else torch.zeros_like(x[0, 0])
                    for place, there in zip(places, real, strict=True)
                ]
            )
            queries, keys, values = inner.q_proj(pixels), inner.k_proj(pixels), inner.v_proj(pixels)
            for query, (here, place) in enumerate(zip(real, places, strict=True)):
                if not here:
                    continue
                for h in range(inner.heads):
                    own = slice(h * head, (h + 1) * head)
                    logits = keys[:, own] @ queries[query, own] / head**0.5
                    if bias:
                        apart = [(place[0] - y + 6) * 13 + place[1] - x_ + 6 for y, x_ in places]
                        logits = logits + inner.relative_position_bias_table[apart, h]
                    if mask:
                        logits = logits.masked_fill(~torch.tensor(real), -torch.inf)
                    mixed[(*place, own)] = logits.softmax(0) @ values[:, own]
    projected: Tensor = inner.out_proj(mixed)
    return projected


def local_attention(bias: bool, mask: bool) -> LocalAttention:
    """Of two heads, with weights in float64 and biases that are not small."""
    torch.manual_seed(0)
    attention = LocalAttention(8, 2, relative_bias=bias, mask_padding=mask).double().eval()
    for parameter in attention.parameters():
        nn.init.normal_(parameter)
    return attention


@pytest.mark.parametrize("bias", [False, True], ids=["without bias", "relative bias"])
@pytest.mark.parametrize("mask", [False, True], ids=["padding counts", "padding masked"])
@pytest.mark.parametrize("size", [(4, 9), (7, 14)], ids=["padded", "not padded"])
def test_attention_in_windows_equals_what_is_written_out_pixel_by_pixel(
    bias: bool, mask: bool, size: tuple[int, int]
) -> None:
    attention = local_attention(bias, mask)
    maps = torch.randn(2, *size, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for own, found in zip(maps, attention(maps), strict=True):
            torch.testing.assert_close(found, windowed(attention, own, bias, mask), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [False, True], ids=["without bias", "relative bias"])
def test_a_plain_map_stays_plain_up_to_its_border_only_if_padding_is_masked(bias: bool) -> None:
    plain = torch.ones(1, 9, 9, 8, dtype=torch.float64)
    with torch.inference_mode():
        masked, released = (local_attention(bias, mask)(plain)[0] for mask in (True, False))
    torch.testing.assert_close(masked, masked[:1, :1].expand_as(masked), rtol=0, atol=1e-12)
    assert (released - masked).abs().max() > 0.1


@pytest.mark.parametrize("name", ["hrformer-b", pytest.param("i2rnet-hrformer", marks=pytest.mark.slow)])
def test_each_switch_of_hrformer_makes_other_heatmaps_of_the_same_weights(name: str) -> None:
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    given = (images, torch.zeros(1, 1, 64, 64), [1]) if name.startswith("i2rnet") else (images,)
    weights: dict[str, Tensor] = {}
    found = []
    for switch in ({}, {"relative_position_bias": True}, {"mask_window_padding": True}):
        torch.manual_seed(0)
        network = method_of("coco", name, input_size=(64, 64), **switch).build_network().eval()
        if not weights:
            weights = network.state_dict()
            for key in weights:
                if key.endswith("relative_position_bias_table"):
                    weights[key] = torch.randn_like(weights[key])
        network.load_state_dict(weights)
        with torch.inference_mode():
            heatmaps = network(*given)
        found.append(heatmaps["intra"] if isinstance(heatmaps, dict) else heatmaps)
    released, *others = found
    for other in others:
        assert (other - released).abs().max() > 1e-3 * released.abs().max()


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        pytest.param("hrnet-w48-s", {"box_enlargement": 0}, "positive", id="crops of no size"),
        pytest.param("hrnet-w48-s", {"box_enlargement": "inf"}, "finite", id="crops without end"),
        pytest.param("hrnet-w48-s", {"confidence_threshold": "nan"}, "finite", id="no number"),
        pytest.param("hrnet-w48-s", {"nms_threshold": 90}, "from 0 to 1", id="percent"),
        pytest.param("hrnet-w48-s", {"nms_threshold": "nan"}, "finite", id="no threshold"),
        pytest.param("hrnet-w48-s", {"nms_sigmas": [0.1] * 16 + [0]}, "positive", id="sigma of 0"),
        pytest.param("hrnet-w48-s", {"nms_sigmas": [0.1] * 14}, "17 keypoints", id="too few sigmas"),
        pytest.param("transpose-h", {"layers": -1}, "layers must not be negative", id="layers"),
        pytest.param("hrformer-b", {"input_size": [48, 48]}, "divisible by 32", id="sides"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(
    name: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=rf"(?s)(?=.*{next(iter(changes))}).*{message}"):
        load_method(name, "coco", **changes)


def test_a_run_records_all_settings_and_as_changed_those_that_are(tmp_path: Path) -> None:
    dataset = load_dataset("synthcrowd")
    changes = {
        "input_size": [64, 64],
        "flip_test": False,
        "flip_shift": True,
        "blur_kernel": 7,
        "confidence_threshold": 0.1,
        "nms_threshold": 0.8,
        "nms_sigmas": [0.05] * 14,
        "nms_area": "box",
        "box_enlargement": 1.1,
    }
    method = load_method("hrnet-w48-s", dataset, **changes)
    run = evaluate(method, dataset, weights="none", out=tmp_path, limit=1, workers=0)
    stored = json.loads((run.directory / "run.json").read_text())
    assert stored["settings"] == stored["protocol"]["changed_settings"] == changes
