"""What C libraries print while an image is decoded, and whose it is."""

import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from crowdbench.system.images import condensed, decode_rgb, decoder_warnings
from crowdbench.system.native_output import Listener


@pytest.fixture
def pictures() -> tuple[bytes, bytes]:
    """A whole JPEG, and one with an end marker in its middle."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    whole = bytes(cv2.imencode(".jpg", pixels)[1])
    middle = len(whole) * 3 // 4
    return whole, whole[:middle] + b"\xff\xd9" + whole[middle + 2 :]


def test_lines_are_heard_and_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    listener: Listener[int] = Listener(lambda line: line.startswith("lib"))

    def talk() -> int:
        os.write(2, b"lib: odd\nsomebody else\n")
        return 3

    assert listener.call(talk) == (3, ["lib: odd"])
    assert listener.call(lambda: 4) == (4, [])
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "somebody else\nafterwards\n"


def test_an_error_leaves_standard_error_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    listener: Listener[float] = Listener(lambda line: True)
    with pytest.raises(ZeroDivisionError):
        listener.call(lambda: 1 / 0)
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"


def test_threads_hear_their_own_images_only(pictures: tuple[bytes, bytes]) -> None:
    whole, damaged = (np.frombuffer(content, np.uint8) for content in pictures)

    def read(number: int) -> list[str]:
        with decoder_warnings() as warnings:
            for turn in range(20):
                decode_rgb(damaged if turn == number else whole, f"{number}-{turn}.jpg")
        return [text.split(":")[0] for text in warnings]

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(read, range(6))) == [[f"{n}-{n}.jpg"] for n in range(6)]


def test_outside_of_a_run_the_log_has_them(
    pictures: tuple[bytes, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    decode_rgb(np.frombuffer(pictures[1], np.uint8), "x.jpg")
    assert "x.jpg: the image decoder says: Corrupt JPEG data" in caplog.text


def test_of_many_warnings_a_few_and_a_count_are_kept() -> None:
    many = [f"{number}.jpg: the image decoder says: odd" for number in range(50)]
    kept = condensed(["memory ran out", *many])
    assert kept[:2] == ["memory ran out", many[0]]
    assert len(kept) == 22
    assert "30 more images" in kept[-1]
