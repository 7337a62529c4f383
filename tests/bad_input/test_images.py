"""The section "Images" of docs/bad-input.md."""

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.bad_input_cases import Cases
from support.data import coco_files
from support.methods.faulty_plugins import NETWORK, install, with_hook

from crowdbench import plugins
from crowdbench.cli import main

case = Cases("Images")
RUN = ["run", "odd", "crowdpose", "--root", "data", "--weights", "none", "--workers", "0"]
READS = "def prepare(self, sample, rng=None):\n    sample.read()\n    return sample.boxes_xywh"
SECOND = Path("data/images/000002.jpg")


def encoded(suffix: str = ".jpg", *options: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (coco_files.HEIGHT, coco_files.WIDTH, 3), np.uint8)
    return bytes(cv2.imencode(suffix, pixels, options)[1])


def ends_early(content: bytes) -> bytes:
    """With an end marker in the middle of what it marks the end of."""
    middle = len(content) * 3 // 4
    return content[:middle] + b"\xff\xd9" + content[middle + 2 :]


def blanked(content: bytes) -> bytes:
    """With zeros where a page of the disk was lost."""
    middle = len(content) // 2
    return content[:middle] + bytes(60) + content[middle + 60 :]


def write(content: bytes) -> None:
    install(Path("site"), "odd_reader", with_hook(NETWORK, READS))
    coco_files.write(Path("data"), "json/crowdpose_test.json")
    SECOND.write_bytes(content)


@case("an-early-end")
def _(_: Path) -> list[str]:
    write(ends_early(encoded()))
    return RUN


@case("an-early-end-seen-by-a-loader")
def _(_: Path) -> list[str]:
    write(ends_early(encoded()))
    return [*RUN[:-1], "1"]


@case("a-lost-page")
def _(_: Path) -> list[str]:
    write(blanked(encoded()))
    return RUN


@case("a-damaged-progressive-jpeg")
def _(_: Path) -> list[str]:
    write(ends_early(encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)))
    return RUN


@case("an-early-end-checked")
def _(_: Path) -> list[str]:
    write(ends_early(encoded()))
    return ["data", "check", "crowdpose", "--root", "data", "--split", "test", "--all"]


@case("an-early-end-predicted")
def _(_: Path) -> list[str]:
    write(ends_early(encoded()))
    return ["predict", "pinet-tiny", str(SECOND), "--out", "out", "--device", "cpu"]


@case("cut-off-checked")
def _(_: Path) -> list[str]:
    write(encoded()[:-400])
    return ["data", "check", "crowdpose", "--root", "data", "--split", "test", "--all"]


@case("text-for-an-image")
def _(_: Path) -> list[str]:
    write(b"<html></html>")
    return RUN


@case("mended-since")
def _(_: Path) -> list[str]:
    write(ends_early(encoded()))
    with pytest.raises(SystemExit) as ended:
        main(RUN)
    assert not ended.value.code
    SECOND.write_bytes(encoded())
    return RUN


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.fixture(autouse=True)
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))  # of loader processes
    plugins.installed.cache_clear()
    yield
    plugins.installed.cache_clear()
    sys.modules.pop("odd_reader", None)


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.check(name, tmp_path, monkeypatch, capsys)
