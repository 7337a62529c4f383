"""PINet's network against the released one: names, shapes, and numbers from deterministic weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.reference.i2rnet_networks import filling
from support.reference.pinet_networks import DATASETS, golden, pinet, released_network

from crowdbench.api.load_method import load_method
from crowdbench.api.types import KeypointSet
from crowdbench.errors import SettingsError, WeightsError
from crowdbench.vision.geometry import transform_points
from crowdbench.weights.checkpoint_file.state_dict import load_weights, read_state_dict
from crowdbench_pinet.body_parts import bones, part_keypoints
from crowdbench_pinet.candidates import averaged_flipped, find_peaks, mirrored, propose
from crowdbench_pinet.fusion import fuse, group_poses
from crowdbench_pinet.method import PINet
from crowdbench_pinet.network import Proposals
from crowdbench_pinet.preprocessing import input_affine
from crowdbench_pinet.refinement import features_at
from crowdbench_pinet.rescoring import ScaleResult, heatmap_values, rescore
from crowdbench_pinet.settings import PINetSettings

RUNS = [(dataset, run) for dataset in DATASETS for run in ("256x320/", "512x512/")]
# The larger input is in the compact golden numbers for one dataset.
COMPACT = [(dataset, run) for dataset, run in RUNS if dataset == "crowdpose" or run == "256x320/"]
ALL_RUNS = [
    *(("compact", *run) for run in COMPACT),
    *(pytest.param("whole", *run, marks=pytest.mark.reference) for run in RUNS),
]
TOLERANCE = {"rtol": 1e-5, "atol": 1e-4}


@pytest.mark.parametrize("dataset", DATASETS)
def test_names_shapes_and_counts_are_the_released_ones(goldens: Path, dataset: str) -> None:
    manifest = golden(goldens, "manifest.json")[dataset]
    network = pinet(dataset).build_network()
    listed = [[name, list(v.shape), str(v.dtype)[6:]] for name, v in network.state_dict().items()]
    assert listed == manifest["state_dict"]
    assert sum(p.numel() for p in network.parameters()) == manifest["parameters"]
    norms = sorted(
        {
            (type(m).__name__, m.eps, m.momentum)
            for m in network.modules()
            if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)
        }
    )
    assert [list(norm) for norm in norms] == manifest["batchnorm"]


@pytest.mark.parametrize("dataset", DATASETS)
def test_parts_bones_and_the_first_adjacency_are_the_released_ones(goldens: Path, dataset: str) -> None:
    manifest = golden(goldens, "manifest.json")[dataset]["network"]
    method = pinet(dataset)
    assert [list(part) for part in part_keypoints(method.keypoints)] == manifest["part_joints"]
    assert {frozenset(b) for b in bones(method.keypoints)} == {frozenset(b) for b in manifest["skeleton"]}
    network = method.build_network()
    np.testing.assert_allclose(network.pr.adj.detach(), manifest["initial_adj"], atol=1e-7)


def test_heads_begin_near_zero_as_released() -> None:
    network = pinet("crowdpose").build_network()
    for head in (network.ppg.heatmap_head, network.ppg.detkptmap_head, network.ppg.offset_head):
        assert head.weight.std().item() == pytest.approx(0.001, rel=0.1)
        assert not head.bias.any()
    assert network.pr.gconv_head.conv.bias.abs().max() <= 480**-0.5


def test_a_layout_without_body_parts_is_refused() -> None:
    hand = KeypointSet("hand", ("thumb", "wrist"), (), (), (0.1, 0.1), ())
    with pytest.raises(SettingsError, match="by their head.*hand has no such keypoint: thumb, wrist"):
        PINet(hand, PINetSettings())


@pytest.mark.slow
@pytest.mark.parametrize(("goldens", "dataset", "run"), ALL_RUNS, indirect=["goldens"])
def test_maps_and_poses_equal_the_released_ones(goldens: Path, dataset: str, run: str) -> None:
    meta = golden(goldens, "forward_meta.json")["runs"][dataset][run]
    expected = golden(goldens, f"forward_{dataset}.npz")
    height, width = map(int, run.removesuffix("/").split("x"))
    images = filling().input("images", (1, 3, height, width))
    network, method = released_network(dataset), pinet(dataset)
    with torch.inference_mode():
        maps, nothing = network(torch.cat([images, mirrored(images)]))
        heatmaps, parts = averaged_flipped(maps, method.keypoints.flip_order)
        peaks = find_peaks(parts, 30, 0.01)
        (candidates,) = propose(network, maps, peaks, method.keypoints.flip_order, True)
    assert nothing is None

    every, channels = meta["spatial_stride"], meta["feature_channel_stride"]
    expected.assert_close(
        run + "features", maps.features[:, ::channels, ::every, ::every], rtol=1e-5, atol=1e-2
    )
    for found, name in ((maps.heatmaps, "heatmap"), (maps.offsets, "offset"), (heatmaps, "heatmap_avg")):
        expected.assert_close(run + name, found[:, :, ::every, ::every], **TOLERANCE)
        own = found.double()
        stats = [own.sum(), own.abs().sum(), own.min(), own.max()]
        np.testing.assert_allclose(stats, expected[run + name + ".stats"], rtol=1e-4, atol=1e-2)
    expected.assert_close(run + "detkptmap", maps.parts, **TOLERANCE)

    counts = meta["candidates_per_part"]
    assert torch.bincount(peaks.part).tolist() == counts
    at = np.stack([peaks.pixel[0] // (width // 4), peaks.pixel[0] % (width // 4)], axis=1)
    np.testing.assert_array_equal(at, np.concatenate([expected[f"{run}part{p}.center_yx"] for p in range(3)]))
    np.testing.assert_allclose(candidates.scores, expected[run + "scores"], **TOLERANCE)
    expected.assert_close(run + "poses", candidates.keypoints, **TOLERANCE)

    result = ScaleResult(1.0, heatmaps[0].numpy(), candidates.keypoints.numpy(), candidates.scores.numpy())
    positions, confidences = rescore([result], (height, width), 0.9)
    rescored = expected[run + "post.adj_pose"]
    np.testing.assert_allclose(positions, rescored[..., :2], rtol=1e-5, atol=4e-4)
    np.testing.assert_allclose(confidences, rescored[..., 2], **TOLERANCE)
    step = 4 * every + 1
    upsampled = expected[run + "post.heat_up"]
    rows, columns = (step * np.arange(length) for length in upsampled.shape[2:])
    points = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 1, 2).astype(np.float32)
    inside = (points < (width - 1, height - 1)).all(axis=(1, 2))
    for channel, wanted in enumerate(upsampled[0]):
        values = heatmap_values(heatmaps[0, channel : channel + 1].numpy(), 4.0, points, (height, width))
        np.testing.assert_allclose(values[inside, 0], wanted.ravel()[inside], **TOLERANCE)


@pytest.mark.parametrize(("goldens", "dataset", "run"), ALL_RUNS, indirect=["goldens"])
def test_scores_groups_and_fused_poses_equal_the_released_ones(goldens: Path, dataset: str, run: str) -> None:
    meta = golden(goldens, "forward_meta.json")["runs"][dataset][run]
    expected = golden(goldens, f"forward_{dataset}.npz")
    sigmas = pinet(dataset).keypoints.sigmas
    height, width = map(int, run.removesuffix("/").split("x"))
    in_input = expected[run + "post.adj_pose"]
    expected.assert_close(run + "poses", in_input[..., :2] / 4, **TOLERANCE)
    np.testing.assert_allclose(in_input[..., 2].mean(axis=1), expected[run + "post.adj_score"], **TOLERANCE)

    back = input_affine(*meta["raw_image_hw"], (height, width), inverse=True)
    located = transform_points(in_input[..., :2], np.broadcast_to(back, (len(in_input), 2, 3)))
    in_image = expected[run + "post.img_pose"]
    np.testing.assert_allclose(located, in_image[..., :2], **TOLERANCE)

    # At 0.7 random poses rarely overlap; the stored poses and scores must give the same groups exactly.
    for threshold, stem in ((0.7, ""), (0.3, "nms0.3."), (0.1, "nms0.1.")):
        groups = group_poses(in_image.astype(float), expected[run + "post.adj_score"], sigmas, threshold)
        stored = [[i for i in group if i >= 0] for group in expected[f"{run}post.{stem}groups"].tolist()]
        assert [int(group[0]) for group in groups] == expected[f"{run}post.{stem}keep"].tolist()
        assert [sorted(group[1:].tolist()) for group in groups] == [sorted(group) for group in stored]
        poses, scores = fuse(in_image.astype(float), groups)
        expected.assert_close(f"{run}post.{stem}fused_pose", poses)
        np.testing.assert_allclose(scores, expected[f"{run}post.{stem}fused_score"], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", DATASETS)
def test_offsets_and_corrections_at_the_released_centres(goldens: Path, dataset: str) -> None:
    expected, run = golden(goldens, f"forward_{dataset}.npz"), "256x320/"
    images = filling().input("images", (1, 3, 256, 320))
    network = released_network(dataset)
    with torch.inference_mode():
        maps, _ = network(torch.cat([images, mirrored(images)]))
        for part in range(3):
            centres = [expected[f"{run}part{part}.{flip}center_yx"] for flip in ("", "flip.")]
            pixel = torch.from_numpy(np.stack([yx[:, 0] * 80 + yx[:, 1] for yx in centres]))
            poses = network.poses(maps, Proposals(torch.full((pixel.shape[1],), part), pixel))
            for row, flip in enumerate(("", "flip.")):
                stem, m = f"{run}part{part}.{flip}", pixel.shape[1]
                expected.assert_close(stem + "offset", poses.offsets[row].view(m, -1), **TOLERANCE)
                expected.assert_close(stem + "refine", poses.corrections[row].view(m, -1), **TOLERANCE)
                corrected = poses.keypoints[row] + poses.corrections[row]
                expected.assert_close(stem + "ppg_pose", corrected, **TOLERANCE)


def test_exact_sampling_reads_features_where_the_keypoints_are() -> None:
    features = torch.arange(20.0).expand(1, 1, 6, 20)
    points = torch.tensor([[[[3.0, 2.0], [7.25, 4.0]]]])
    assert features_at(features, points, "exact").flatten().tolist() == pytest.approx([3.0, 7.25], abs=1e-5)
    released = features_at(features, points, "released").flatten().tolist()
    assert released == pytest.approx([3 * 20 / 19 - 0.5, 7.25 * 20 / 19 - 0.5], abs=1e-5)


@pytest.mark.parametrize("form", ["flat", "best_state_dict", "prefixed"])
def test_the_forms_of_released_files_are_accepted(tmp_path: Path, form: str) -> None:
    torch.manual_seed(1)
    method = load_method("pinet", "coco")
    assert isinstance(method, PINet)
    saved = method.build_network().state_dict()
    prefixed = {f"module.{name}": value for name, value in saved.items()}
    content = {
        "flat": saved,
        "prefixed": {"epoch": 140, "state_dict": prefixed, "perf": 140, "optimizer": {"state": {}}},
        "best_state_dict": {
            "epoch": 140,
            "model": "pose_higher_hrnet",
            "state_dict": {name: torch.zeros_like(value) for name, value in prefixed.items()},
            "best_state_dict": saved,
            "perf": 140,
            "optimizer": {"state": {}},
        },
    }[form]
    file = tmp_path / "checkpoint.pth.tar"
    torch.save(content, file)
    torch.manual_seed(2)
    network = method.build_network()
    load_weights(network, method.convert_state_dict(read_state_dict(file)), str(file))
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())


def test_weights_of_another_dataset_are_refused() -> None:
    coco, ochuman = pinet("coco").build_network(), pinet("ochuman").build_network()
    with pytest.raises(WeightsError, match=r"14 missing: pr\.gconv_layers\.2"):
        load_weights(ochuman, coco.state_dict(), "pinet_coco.pth.tar")
