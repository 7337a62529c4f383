"""Sizes by headers are those of the decoded image."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdbench.system.files.image_header import size_in_header


def encoded(suffix: str, width: int, height: int, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, np.zeros((height, width, 3), np.uint8), list(options))
    assert done
    return data.tobytes()


@settings(deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300), suffix=st.sampled_from([".jpg", ".png"]))
def test_the_size_is_that_of_the_image(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"image{suffix}"
    path.write_bytes(encoded(suffix, width, height))
    assert size_in_header(path) == (width, height)


def test_a_progressive_image_behind_a_long_comment_and_a_thumbnail(tmp_path: Path) -> None:
    image = encoded(".jpg", 60, 40, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    thumbnail = encoded(".jpg", 6, 4)
    segments = [b"\xff\xe1", (2 + len(thumbnail)).to_bytes(2, "big"), thumbnail, b"\xff" * 3]
    comment = [b"\xff\xfe", (60_002).to_bytes(2, "big"), bytes(60_000)]
    (tmp_path / "a.jpg").write_bytes(image[:2] + b"".join([*segments, *comment]) + image[2:])
    assert size_in_header(tmp_path / "a.jpg") == (60, 40)


@settings(deadline=None)
@given(data=st.binary(max_size=200), cut=st.integers(0, 200))
def test_what_is_no_whole_header_tells_nothing_and_raises_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "broken"
    for start in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"):
        path.write_bytes(start + data[:cut])
        size_in_header(path)


def test_what_is_no_image_file_tells_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text.jpg").write_text("<html>")
    for name in ("pipe", "text.jpg", "nowhere.jpg", ".", "a\0b"):
        assert size_in_header(tmp_path / name) is None
