import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crowdbench import Instance, KeypointSet, Pose, Sample
from crowdbench.errors import ImageError, MissingDataError, ShapeError
from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14


@st.composite
def keypoint_sets(draw: st.DrawFn) -> KeypointSet:
    count = draw(st.integers(1, 20))
    order = draw(st.permutations(range(count)))
    pairs = draw(st.integers(0, count // 2))
    return KeypointSet(
        name="drawn",
        keypoints=tuple(f"keypoint-{i}" for i in range(count)),
        flip_pairs=tuple((order[2 * i], order[2 * i + 1]) for i in range(pairs)),
        skeleton=(),
        sigmas=(0.1,) * count,
        upper_body=(),
    )


@given(keypoint_sets())
def test_mirroring_twice_is_no_change(keypoints: KeypointSet) -> None:
    order = np.array(keypoints.flip_order)
    np.testing.assert_array_equal(order[order], np.arange(keypoints.count))
    moved = {frozenset((i, j)) for i, j in enumerate(keypoints.flip_order) if i != j}
    assert moved == {frozenset(pair) for pair in keypoints.flip_pairs}


@pytest.mark.parametrize("keypoints", [COCO_17, CROWDPOSE_14], ids=lambda k: k.name)
def test_mirroring_exchanges_left_and_right_and_nothing_else(keypoints: KeypointSet) -> None:
    for name, place in zip(keypoints.keypoints, keypoints.flip_order, strict=True):
        side = {"left": "right", "right": "left"}
        head, _, tail = name.partition("_")
        assert keypoints.keypoints[place] == (f"{side[head]}_{tail}" if head in side else name)


@pytest.mark.parametrize("keypoints", [COCO_17, CROWDPOSE_14], ids=lambda k: k.name)
def test_the_mirrored_skeleton_and_sigmas_are_the_same(keypoints: KeypointSet) -> None:
    order = keypoints.flip_order
    bones = {frozenset(bone) for bone in keypoints.skeleton}
    assert {frozenset(order[i] for i in bone) for bone in bones} == bones
    assert [keypoints.sigmas[i] for i in order] == list(keypoints.sigmas)
    assert {order[i] for i in keypoints.upper_body} == set(keypoints.upper_body)


@pytest.mark.parametrize(
    "change",
    [{"sigmas": (0.1,)}, {"skeleton": ((0, 2),)}, {"upper_body": (2,)}, {"flip_pairs": ((0, 1), (1, 0))}],
    ids=lambda change: next(iter(change)),
)
def test_a_keypoint_set_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    good = {
        "name": "two",
        "keypoints": ("left", "right"),
        "flip_pairs": ((0, 1),),
        "skeleton": ((0, 1),),
        "sigmas": (0.1, 0.1),
        "upper_body": (0,),
    }
    with pytest.raises(ShapeError, match="two"):
        KeypointSet(**{**good, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3,), (2, 2), (1, 2, 3)])
def test_keypoints_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"\(K, 3\)"):
        Pose(np.zeros(shape), 1.0)
    with pytest.raises(ShapeError, match=r"\(K, 3\)"):
        Instance(np.zeros(4), np.zeros(shape), 1.0)


@given(st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 6))
def test_a_pose_is_finite(bad: float, place: int) -> None:
    keypoints = np.zeros((2, 3))
    score = 0.0
    if place == 6:
        score = bad
    else:
        keypoints.flat[place] = bad
    with pytest.raises(ShapeError, match="finite"):
        Pose(keypoints, score)


SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@given(arrays(np.float64, SHAPES, elements=st.floats(-1e6, 1e6)), st.floats(-1, 1))
def test_a_pose_holds_k_by_3_numbers_as_given_or_refuses_them(keypoints: np.ndarray, score: float) -> None:
    if keypoints.ndim == 2 and keypoints.shape[1] == 3:
        pose = Pose(keypoints, score, np.arange(4))
        np.testing.assert_array_equal(pose.keypoints, keypoints)
        assert pose.score == score
    else:
        with pytest.raises(ShapeError, match=re.escape(str(keypoints.shape))):
            Pose(keypoints, score)


@given(st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 4), max_size=4))
def test_a_sample_stacks_the_boxes_of_its_instances_in_order(boxes: list[tuple[float, ...]]) -> None:
    instances = tuple(Instance(np.array(box), np.zeros((2, 3)), 1.0) for box in boxes)
    stacked = Sample(1, Path("image.jpg"), 60, 40, instances).boxes_xywh
    assert stacked.shape == (len(boxes), 4)
    assert stacked.tolist() == [list(box) for box in boxes]


def test_a_sample_reads_colours_as_red_green_blue(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    cv2.imwrite(str(path), np.full((4, 6, 3), (0, 0, 255), np.uint8))  # OpenCV writes blue, green, red
    image = Sample(1, path, 6, 4).read()
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.broadcast_to((255, 0, 0), (4, 6, 3)))


def test_a_sample_is_read_as_stored_though_exif_says_it_is_turned(tmp_path: Path) -> None:
    # An APP1 segment with one EXIF entry: orientation (0x0112) = 6, a quarter turn.
    entry = bytes.fromhex("0112 0003 00000001 00060000")
    tiff = b"MM\0*" + (8).to_bytes(4, "big") + (1).to_bytes(2, "big") + entry + bytes(4)
    segment = b"Exif\0\0" + tiff
    jpeg = cv2.imencode(".jpg", np.zeros((40, 60, 3), np.uint8))[1].tobytes()
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:])
    assert cv2.imread(str(path)).shape == (60, 40, 3)  # whoever obeys EXIF sees it turned
    assert Sample(1, path, 60, 40).read().shape == (40, 60, 3)


def test_an_image_that_is_not_there_or_of_another_size_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    with pytest.raises(MissingDataError, match=r"image\.png"):
        Sample(1, path, 6, 4).read()
    cv2.imwrite(str(path), np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(ImageError, match="the image is 6x4 .* image 7 say 4x6"):
        Sample(7, path, 4, 6).read()


def test_an_image_with_absurd_dimensions_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    png = cv2.imencode(".png", np.zeros((4, 6, 3), np.uint8))[1].tobytes()
    header = b"IHDR" + (2**30).to_bytes(4, "big") * 2 + png[24:29]
    path.write_bytes(png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:])
    with pytest.raises(ImageError, match=r"bomb\.png"):
        Sample(1, path, 2**30, 2**30).read()


def test_arrays_of_an_instance_cannot_be_changed_and_are_copies() -> None:
    box = np.array([1.0, 2, 3, 4])
    instance = Instance(box, np.zeros((2, 3)), 12)
    box[0] = 99
    assert instance.box_xywh[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        instance.box_xywh[0] = 5
