"""Every command that writes, on a disk that is full at some moment, and on one that only lets itself be read.

The disk is a file system of its own (tmpfs) which is made smaller than what the command needs, by a step at a time,
so that each of its files is once the one that does not fit; or which is made read-only while the command runs.
"""

import random
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from support.small_disks import AMPLE, PAGE, Disk, disk

__all__ = ["disk"]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("disks")]

SMALL = 3  # of the sizes that are too small, how many are tried
MOMENTS = 2
COMMANDS = {
    "run": "run i2rnet-tiny synthcrowd --root crowds --limit 4 --workers 0 --device cpu --save-every 0 --out {disk}/runs",
    "train": "train toy-trainable synthcrowd --root crowds --epochs 2 --workers 0 --device cpu --out {disk}/runs",
    "sweep": "sweep suite.toml --out {disk}/runs",
    "report": "report runs --root crowds --out {disk}/report.html",
    "analyse": "analyse runs --root crowds --save {disk}/found.json",
    "predict": "predict i2rnet-tiny one.jpg two.jpg --boxes whole --out {disk}/poses --device cpu",
    "data": "data synth {disk}/crowds --images 3 --split test --workers 1",
    "weights": "weights convert trained.pth {disk}/weights.safetensors",
    "new-method": "new-method my-pose --out {disk}",
}


@dataclass
class Desk:
    """A folder with all that the commands read."""

    folder: Path
    environment: dict[str, str]

    def start(self, arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "crowdbench", *arguments.split()],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def done(self, arguments: str) -> tuple[int, str]:
        """Exit status and standard error."""
        started = self.start(arguments)
        _, err = started.communicate(timeout=300)
        return started.returncode, err


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, toy_plugins: dict[str, str]) -> Desk:
    found = Desk(tmp_path_factory.mktemp("desk"), {**toy_plugins, "OMP_NUM_THREADS": "1", "COLUMNS": "250"})
    for split, images in (("train", 6), ("val", 3), ("test", 5)):
        command = f"data synth crowds --split {split} --images {images} --size 256x192 --workers 1"
        assert found.done(command)[0] == 0
    (found.folder / "suite.toml").write_text(
        'name = "few"\ndescription = "one"\n\n[[run]]\nmethod = "toy-centre"\ndataset = "synthcrowd"\nsplit = "val"\n'
    )
    pictures = sorted((found.folder / "crowds").rglob("*.jpg"))
    for name, picture in zip(("one.jpg", "two.jpg"), pictures, strict=False):
        shutil.copy(picture, found.folder / name)
    torch.save({"layer.weight": torch.arange(30_000.0)}, found.folder / "trained.pth")
    status, err = found.done(COMMANDS["run"].replace("--limit 4", "").format(disk="."))
    assert status == 0, err
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_where_the_disk_is_full_a_line_says_so_and_the_same_command_finishes_later(
    desk: Desk, disk: Disk, name: str
) -> None:
    command = COMMANDS[name].format(disk=disk.folder)
    expected = undisturbed(desk, disk, command)
    needed = disk.used
    sizes = sorted({PAGE, needed - PAGE, *(random.Random(name).choices(range(PAGE, needed, PAGE), k=SMALL))})
    refused = 0
    for size in sizes:
        disk.clear()
        disk.resize(size)
        status, err = desk.done(command)
        if status:  # what was counted as needed includes what was there for a moment only
            refused += 1
            assert status == 1, err
            assert "cannot be written (No space left on device)" in err
            assert_one_error(err)
        finish(desk, disk, command, status, expected)
    assert refused


@pytest.mark.parametrize("name", COMMANDS)
def test_where_the_disk_becomes_read_only_a_line_says_so_and_the_same_command_finishes_later(
    desk: Desk, disk: Disk, name: str
) -> None:
    command = COMMANDS[name].format(disk=disk.folder)
    began = time.monotonic()
    expected = undisturbed(desk, disk, command)
    seconds = time.monotonic() - began
    for moment in range(MOMENTS):
        disk.clear()
        if moment == 0:
            assert disk.freeze()
        started = desk.start(command)
        if moment:
            with suppress(subprocess.TimeoutExpired):
                started.wait(seconds * (0.3 + 0.7 * moment / MOMENTS))
            while started.poll() is None and not disk.freeze():
                time.sleep(0.01)
        _, err = started.communicate(timeout=300)
        assert started.returncode in ((1,) if moment == 0 else (0, 1)), err
        if started.returncode:
            assert "(Read-only file system)" in err
            assert_one_error(err)
        finish(desk, disk, command, started.returncode, expected)


def undisturbed(desk: Desk, disk: Disk, command: str) -> dict[str, str]:
    """What a command writes where there is room."""
    status, err = desk.done(command)
    assert status == 0, err
    return disk.content()


def finish(desk: Desk, disk: Disk, command: str, status: int, expected: dict[str, str]) -> None:
    """Make room, give the command again if it failed, and compare what is there."""
    disk.resize(AMPLE)
    if status:
        again, err = desk.done(f"{command} --overwrite" if command.startswith("predict") else command)
        assert again == 0, err
    found = disk.content()
    assert found.keys() == expected.keys()
    assert not [path for path in expected if found[path] != expected[path]]


def assert_one_error(err: str) -> None:
    assert "Traceback" not in err, err
    assert "a bug" not in err, err
    assert len(re.findall(r"^\w*Error: ", err, re.MULTILINE)) == 1, err
