"""Pictures are as good as there is room for."""

import base64
from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.runs.report_pages import noise, page_data

from crowdbench.errors import ImageError
from crowdbench.report.jpegs import Encoded, encode_all

PICTURE = page_data(1, 1).gallery[0].pictures[0]


def size(encoded: Encoded) -> tuple[int, int]:
    """Height and width of the picture itself."""
    data = base64.b64decode(encoded.address.removeprefix("data:image/jpeg;base64,"), validate=True)
    height, width, _ = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape
    return height, width


@pytest.mark.parametrize("budget", [1_000_000, 100_000, 20_000, 5_000])
def test_pictures_keep_to_the_budget_and_to_their_shape(budget: int) -> None:
    found = list(encode_all([PICTURE] * 4, 4, budget))
    assert all(not it.problem for it in found)
    assert sum(len(it.address) for it in found) <= budget
    for height, width in map(size, found):
        assert height / width == pytest.approx(480 / 640, abs=0.04)


def test_what_one_picture_leaves_goes_to_those_after_it() -> None:
    plain = replace(PICTURE, read=lambda: np.full((480, 640, 3), 128, np.uint8))
    (alone,) = encode_all([PICTURE], 1, 20_000)
    *_, after = encode_all([plain, plain, plain, PICTURE], 4, 80_000)
    assert len(after.address) > len(alone.address)


def test_pictures_keep_their_colours() -> None:
    red = replace(PICTURE, read=lambda: np.full((48, 64, 3), (255, 0, 0), np.uint8))
    (found,) = encode_all([red], 1, 100_000)
    data = base64.b64decode(found.address.partition(",")[2])
    blue, green, red_ = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[24, 32]
    assert (red_ > 240, green < 20, blue < 20) == (True, True, True)


def test_an_image_that_cannot_be_read_says_why_and_others_follow() -> None:
    def missing() -> np.ndarray:
        raise ImageError("a.jpg: not an image.\nDownload it again.")

    lost, found = encode_all([replace(PICTURE, read=missing), PICTURE], 2, 100_000)
    assert lost == Encoded(problem="a.jpg: not an image.")
    assert found.address


def test_no_room_is_said() -> None:
    (found,) = encode_all([replace(PICTURE, read=lambda: noise(3))], 1, 10)
    assert found.problem == "The page is full."
