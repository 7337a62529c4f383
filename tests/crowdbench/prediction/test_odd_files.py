"""Odd files and names among images: each fails alone and costs no other file its results."""

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes

import cv2
import numpy as np
import pytest
from support.data.images import Predict, picture, save

from crowdbench.system.text import encodable, name_bytes, plain, plain_json


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_circle(path: Path) -> None:
    path.symlink_to(path.name)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def cut_off_video(path: Path) -> None:
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("pipe.jpg", a_pipe, "this is a pipe"),
        ("pipe.mp4", a_pipe, "this is a pipe"),
        ("circle.png", a_circle, "Too many levels"),
        ("zero.png", a_device, "this is a device"),
        ("gone.jpg", lambda path: path.symlink_to("nowhere"), "No such file"),
        ("empty.jpg", nothing, "not an image"),
        ("empty.mp4", nothing, "not a video"),
        ("cut.mp4", cut_off_video, "not a video"),
        ("\udcff\udcfe.jpg", nothing, "not an image"),
        ("line\nbreak\x1b[31m.jpg", nothing, "not an image"),
    ],
)
def test_an_odd_file_fails_alone(
    name: str, make: Callable[[Path], None], words: str, predict: Predict, machine: Path
) -> None:
    save(machine / "in" / "a.png")
    save(machine / "in" / "z.png")
    make(machine / "in" / name)
    said = predict("toy-brightest", "in")
    assert said.status == 1
    assert [entry["file_name"] for entry in said.listing["images"]] == ["in/a.png", "in/z.png"]
    assert len(said.predictions) == 2
    (failed,) = said.listing["failed"]
    assert words in failed["error"]
    (line,) = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert plain(line) == line
    assert words in line


def test_a_named_pipe_that_is_asked_for_by_name_does_not_hang(predict: Predict, machine: Path) -> None:
    a_pipe(machine / "pipe")
    said = predict("toy-brightest", "pipe")
    assert said.status == 1
    assert "this is a pipe" in said.err


@pytest.mark.parametrize("name", ["\udcff.png", "a\udce9b.png", "\udcff.mp4"])
def test_names_that_are_not_utf_8_are_looked_at_drawn_and_kept_with_their_bytes(
    name: str, predict: Predict, machine: Path
) -> None:
    if name.endswith("png"):
        save(machine / "in" / name)
    else:
        (machine / "in").mkdir()
        writer = cv2.VideoWriter("film.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 5, (60, 40))
        for _ in range(3):
            writer.write(picture())
        writer.release()
        (machine / "film.mp4").rename(machine / "in" / name)
    said = predict("toy-brightest", "in")
    assert said.status == 0, said.err
    (entry,) = [*said.listing["images"], *said.listing["videos"]]
    assert entry["file_name"] == "in/" + os.fsencode(name).decode("utf-8", "backslashreplace")
    assert unquote_to_bytes(entry["file_name_bytes"]) == os.fsencode(f"in/{name}")
    assert (machine / "poses" / name).is_file()
    said = predict("toy-brightest", "in", "--json")
    assert name_bytes(Path(f"in/{name}")) in said.out


def test_ordinary_names_have_no_bytes_beside_them(predict: Predict, machine: Path) -> None:
    save(machine / "ü.png")
    assert "file_name_bytes" not in predict("toy-brightest", "ü.png").listing["images"][0]


def test_a_copy_whose_name_would_be_too_long_costs_the_copy(predict: Predict, machine: Path) -> None:
    longest = "n" * 251 + ".bmp"  # its copy would be called .bmp.png
    save(machine / "in" / "a.png")
    (machine / "in" / longest).write_bytes(cv2.imencode(".bmp", picture())[1].tobytes())
    said = predict("toy-brightest", "in")
    assert said.status == 1
    assert len(said.predictions) == 2
    assert [entry["drawn"] for entry in said.listing["images"]] == ["a.png", None]
    assert "File name too long" in said.listing["failed"][0]["error"]


def test_a_disk_that_fills_up_leaves_what_was_found(predict: Predict, machine: Path) -> None:
    save(machine / "in" / "a.png")
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    save(machine / "in" / "b.png", noise)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        said = predict("toy-brightest", "in")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert said.status == 1
    assert "b.png: cannot be written (File too large)" in said.err
    assert [entry["file_name"] for entry in said.listing["images"]] == ["in/a.png"]
    assert said.listing["info"]["complete"] is False
    assert len(said.predictions) == 1
    assert sorted(p.name for p in (machine / "poses").iterdir()) == [
        "a.png",
        "images.json",
        "predictions.json",
    ]


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((1, 1, 3), np.uint8), np.zeros((5, 7), np.uint16), np.zeros((4, 4, 4), np.uint8)],
    ids=["one pixel", "16 bits", "transparent"],
)
def test_rare_kinds_of_images_are_processed(pixels: np.ndarray, predict: Predict, machine: Path) -> None:
    save(machine / "a.png", pixels)
    assert predict("toy-brightest", "a.png").status == 0


@pytest.mark.parametrize("text", ["\x1b[31m\u202e", "\x9b", "\udcff", "\U000e0001", "a\tb\r", "ü²人"])
def test_escaped_json_means_the_same(text: str) -> None:
    encoded = plain_json(json.dumps({"a": text}, ensure_ascii=False))
    assert json.loads(encoded) == {"a": text}
    assert encoded.isprintable()


def test_what_cannot_be_encoded_is_described() -> None:
    assert encodable("ü\udcff") == "ü\\xff"
    assert encodable("\ud800") == "\\ud800"
    assert encodable("plain \\xff") == "plain \\xff"
