"""Videos: frames in order, every so-manieth, and what cannot be read."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.data.images import Predict, save

RATE = 10.0


def film(path: Path, frames: int = 7, size: tuple[int, int] = (64, 48)) -> Path:
    """A video in which a bright square moves right by 8 pixels each frame."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), RATE, size)
    assert writer.isOpened()
    for number in range(frames):
        frame = np.full((size[1], size[0], 3), 30, np.uint8)
        frame[16:24, 8 * number : 8 * number + 8] = 255
        writer.write(frame)
    writer.release()
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def shown(path: Path) -> tuple[int, float, tuple[int, int]]:
    """Frames, frames a second, and size of a video."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    count = 0
    while capture.read()[0]:
        count += 1
    size = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    return count, capture.get(cv2.CAP_PROP_FPS), size


def test_a_video_becomes_a_drawn_video_and_a_line_for_each_frame(predict: Predict, machine: Path) -> None:
    film(machine / "walk.mp4")
    said = predict("toy-brightest", "walk.mp4")
    assert said.status == 0, said.err
    assert said.out == "7 poses in 1 video.\nResults: poses\n"
    assert sorted(p.name for p in (machine / "poses").iterdir()) == [
        "images.json",
        "walk.mp4",
        "walk.mp4.jsonl",
    ]
    found = lines(machine / "poses" / "walk.mp4.jsonl")
    assert [line["frame"] for line in found] == list(range(7))
    assert [line["time_s"] for line in found] == pytest.approx([i / RATE for i in range(7)], abs=0.01)
    for number, line in enumerate(found):
        [pose] = line["poses"]
        assert pose["image_id"] == number
        assert 8 * number - 2 <= pose["keypoints"][0] < 8 * number + 10  # compression blurs
    assert shown(machine / "poses" / "walk.mp4") == (7, RATE, (64, 48))
    [video] = said.listing["videos"]
    assert video == {
        "file_name": "walk.mp4",
        "width": 64,
        "height": 48,
        "frames_per_s": RATE,
        "frames": 7,
        "poses": 7,
        "poses_file": "walk.mp4.jsonl",
        "drawn": "walk.mp4",
    }


def test_every_third_frame_is_played_as_fast_as_before(predict: Predict, machine: Path) -> None:
    film(machine / "walk.mp4")
    predict("toy-brightest", "walk.mp4", "--every", "3")
    assert [line["frame"] for line in lines(machine / "poses" / "walk.mp4.jsonl")] == [0, 3, 6]
    count, rate, _ = shown(machine / "poses" / "walk.mp4")
    assert count == 3
    assert rate == pytest.approx(RATE / 3, abs=0.01)


def test_frames_are_boxed_whole_or_by_the_name_of_the_video(predict: Predict, machine: Path) -> None:
    film(machine / "walk.mp4", frames=2)
    predict("toy-diagonal", "walk.mp4", "--boxes", "whole")
    found = lines(machine / "poses" / "walk.mp4.jsonl")
    assert [line["poses"][0]["keypoints"][-3:-1] for line in found] == [[64, 48]] * 2
    (machine / "boxes.json").write_text('{"walk.mp4": [[1, 2, 3, 4], [5, 6, 7, 8]]}')
    predict("toy-diagonal", "walk.mp4", "--boxes", "boxes.json", "--overwrite")
    found = lines(machine / "poses" / "walk.mp4.jsonl")
    assert [len(line["poses"]) for line in found] == [2, 2]


def test_detections_of_images_are_not_boxes_of_a_video(predict: Predict, machine: Path) -> None:
    film(machine / "walk.mp4", frames=2)
    save(machine / "7.png")
    (machine / "found.json").write_text(
        json.dumps([{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}])
    )
    said = predict("toy-diagonal", "walk.mp4", "7.png", "--boxes", "found.json")
    assert said.status == 1
    assert "walk.mp4: for a video, use --boxes whole or a file of boxes by name" in said.err
    assert len(said.predictions) == 1
    assert not (machine / "poses" / "walk.mp4.jsonl").exists()


def test_broken_videos_leave_nothing_and_the_others_go_on(predict: Predict, machine: Path) -> None:
    (machine / "in").mkdir()
    whole = film(machine / "in" / "whole.mp4")
    (machine / "in" / "cut.mp4").write_bytes(whole.read_bytes()[:600])
    (machine / "in" / "text.mov").write_text("no film")
    said = predict("toy-brightest", "in")
    assert said.status == 1
    failed = {Path(f["file_name"]).name: f["error"] for f in said.listing["failed"]}
    assert sorted(failed) == ["cut.mp4", "text.mov"]
    assert all("not a video that OpenCV can read" in error for error in failed.values())
    names = sorted(p.name for p in (machine / "poses").iterdir())
    assert names == ["images.json", "whole.mp4", "whole.mp4.jsonl"]


def test_frames_of_odd_sizes_lose_no_line(predict: Predict, machine: Path) -> None:
    size = (63, 47)
    writer = cv2.VideoWriter(
        str(machine / "odd.avi"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), RATE, size
    )
    if not writer.isOpened():
        pytest.fail("this OpenCV writes no lossless video")
    writer.write(np.full((size[1], size[0], 3), 30, np.uint8))
    writer.release()
    frame = shown(machine / "odd.avi")[2]
    predict("toy-brightest", "odd.avi")
    width, height = shown(machine / "poses" / "odd.avi.mp4")[2]
    assert (width, height) == (frame[0] + frame[0] % 2, frame[1] + frame[1] % 2)


def test_a_video_is_known_by_its_content(predict: Predict, machine: Path) -> None:
    film(machine / "walk.mp4").rename(machine / "walk")
    said = predict("toy-brightest", "walk")
    assert said.status == 0, said.err
    assert [video["drawn"] for video in said.listing["videos"]] == ["walk.mp4"]


def test_json_holds_the_frames_of_videos(predict: Predict, machine: Path) -> None:
    film(machine / "walk.mp4", frames=3)
    said = predict("toy-brightest", "walk.mp4", "--json")
    [video] = json.loads(said.out)["videos"]
    assert [frame["frame"] for frame in video["frames"]] == [0, 1, 2]
    assert video["drawn"] is None
    assert not (machine / "poses").exists()
    said = predict("toy-brightest", "walk.mp4", "--json", "--out", "poses")
    assert json.loads(said.out)["videos"][0]["frames"] == lines(machine / "poses" / "walk.mp4.jsonl")


def test_a_video_whose_copy_cannot_be_written_leaves_nothing(predict: Predict, machine: Path) -> None:
    film(machine / "walk.mp4", frames=3)
    (machine / "poses").write_text("a file, not a folder")
    said = predict("toy-brightest", "walk.mp4", out="elsewhere")
    assert said.status == 1
    assert "cannot be written" in said.err
    assert sorted(p.name for p in machine.iterdir()) == ["poses", "walk.mp4"]


def test_a_name_that_looks_like_a_pattern_or_a_protocol_is_a_file(predict: Predict, machine: Path) -> None:
    for name in ("walk_%03d.mp4", "concat:a.mp4"):
        film(machine / "walk.mp4", frames=2).rename(machine / name)
        said = predict("toy-brightest", name, "--overwrite")
        assert said.status == 0, said.err
        assert (machine / "poses" / name).exists()
