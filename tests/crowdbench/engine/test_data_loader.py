"""Loader workers: what happens when they cannot do their work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from support.data import coco_files
from support.methods.toy import ToyNetwork, ToySettings
from support.plugins import python_path

from crowdbench import evaluate, load_dataset
from crowdbench.api.types import Sample
from crowdbench.engine import loader_failures as loaders
from crowdbench.engine.data_loader import load_batches
from crowdbench.errors import ImageError, MachineError, PluginError


class DiesWhilePreparing(ToyNetwork):
    dies = "status"

    def prepare(self, sample: Sample, rng: Any = None) -> Any:
        if self.dies == "status":
            os._exit(9)
        os.kill(os.getpid(), signal.Signals[self.dies])
        time.sleep(60)


class DiesWhileSending(ToyNetwork):
    """Is killed when half of a message is through."""

    def collate(self, examples: Sequence[Any]) -> Any:
        def send_half(connection: Any, content: Any, *_: Any) -> None:
            os.write(connection.fileno(), bytes(content)[: max(1, len(content) // 2)])
            os.kill(os.getpid(), signal.SIGKILL)

        Connection._send = send_half  # type: ignore[attr-defined]
        return bytes(1000)


class CannotBeSent(ToyNetwork):
    def collate(self, examples: Sequence[Any]) -> Any:
        return lambda: examples


class HasABug(ToyNetwork):
    def prepare(self, sample: Sample, rng: Any = None) -> Any:
        return {}["a bug"]


@pytest.fixture
def dataset(tmp_path: Path) -> Any:
    return load_dataset("crowdpose", root=coco_files.write(tmp_path / "data", "json/crowdpose_test.json"))


def batches(dataset: Any) -> Sequence[Sequence[Sample]]:
    return [[sample] for sample in dataset]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order(dataset: Any, workers: int) -> None:
    method = ToyNetwork(dataset.keypoints, ToySettings())
    loaded = list(load_batches(method, batches(dataset), workers=workers, pin_memory=False))
    boxes = [groups[0][0] for groups, _ in loaded]
    np.testing.assert_array_equal(boxes, [sample.boxes_xywh[0] for sample in dataset])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_the_products_own_error_from_a_worker_too(
    dataset: Any, tmp_path: Path, workers: int
) -> None:
    (tmp_path / "data" / "images" / "000002.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError) as caught:
        evaluate(
            ToyNetwork(dataset.keypoints, ToySettings()),
            dataset,
            weights="none",
            out=tmp_path,
            workers=workers,
        )
    assert "000002.jpg" in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("dies", "words"),
    [
        ("status", "ended with status 9"),
        ("SIGKILL", "was killed, perhaps because memory ran out"),
        ("SIGSEGV", "crashed (SIGSEGV)"),
        ("SIGBUS", "--shm-size"),
    ],
)
def test_a_worker_that_dies_is_named_and_the_error_says_what_to_try(
    dataset: Any, dies: str, words: str
) -> None:
    method = DiesWhilePreparing(dataset.keypoints, ToySettings())
    method.dies = dies  # type: ignore[attr-defined]
    with pytest.raises(MachineError, match=r"a loader process \(number \d+\)") as caught:
        list(load_batches(method, batches(dataset), workers=1, pin_memory=False))
    assert words in str(caught.value)
    assert "--workers 0" in str(caught.value)


def test_a_worker_that_dies_in_the_middle_of_a_message_is_noticed(
    dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaders, "_PATIENCE_S", 0.5)
    method = DiesWhileSending(dataset.keypoints, ToySettings())
    with pytest.raises(MachineError, match="was killed"):
        for _ in load_batches(method, batches(dataset), workers=2, pin_memory=False):
            pass


def test_what_cannot_be_sent_is_an_error_and_not_a_wait_without_end(dataset: Any) -> None:
    method = CannotBeSent(dataset.keypoints, ToySettings())
    with pytest.raises(PluginError, match=r"must be something that can be pickled[^$]*--workers 0"):
        list(load_batches(method, batches(dataset), workers=1, pin_memory=False))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)"
        ),
        OSError(28, "No space left on device"),
    ],
)
def test_little_shared_memory_is_recognized(error: Exception) -> None:
    assert loaders.is_little_shared_memory(error)
    assert "--shm-size" in str(loaders.without_workers(error))


def test_a_bug_in_a_method_names_the_image_and_keeps_its_trace(dataset: Any) -> None:
    method = HasABug(dataset.keypoints, ToySettings())
    with pytest.raises(PluginError, match=r"prepare raised KeyError on image 1 .*a bug") as caught:
        list(load_batches(method, batches(dataset), workers=1, pin_memory=False))
    assert "in prepare" in caught.value.trace


def test_threads_of_this_process_do_not_hang_the_workers(dataset: Any) -> None:
    """OpenCV's and PyTorch's thread pools do not survive a fork; workers must not be forks of this process."""
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((2000, 2000), np.float32), (31, 31), 5)
    torch.ones(1000, 1000).matmul(torch.ones(1000, 1000))
    method = ToyNetwork(dataset.keypoints, ToySettings())
    assert len(list(load_batches(method, batches(dataset), workers=2, pin_memory=False))) == 3


SCRIPT = """
from support.methods.toy import ToyNetwork, ToySettings
import crowdbench
{extra}
dataset = crowdbench.load_dataset("synthcrowd")
method = {cls}(dataset.keypoints, ToySettings())
run = crowdbench.evaluate(method, dataset, weights="none", limit=2, workers=1, out={out!r})
print("state", run.record.state)
"""


def script(tmp_path: Path, cls: str, extra: str = "") -> "subprocess.CompletedProcess[str]":
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(cls=cls, extra=extra, out=str(tmp_path / "runs")))
    return subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": python_path(before=os.environ.get("PYTHONPATH", ""))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_a_method_that_is_defined_in_a_script_runs_without_workers(tmp_path: Path) -> None:
    done = script(tmp_path, "Mine", "class Mine(ToyNetwork): pass")
    assert done.returncode == 0, done.stderr
    assert "state done" in done.stdout
    (log,) = (tmp_path / "runs").rglob("log.txt")
    assert "without workers" in log.read_text()


@pytest.mark.slow
def test_a_script_that_evaluates_unguarded_is_told_what_to_do(tmp_path: Path) -> None:
    done = script(tmp_path, "ToyNetwork")
    assert done.returncode != 0
    assert '__name__ == "__main__"' in done.stderr
