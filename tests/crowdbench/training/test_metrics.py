"""What is measured while a network trains, and who is told."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from crowdbench.errors import UnknownNameError
from crowdbench.training.metrics import MetricsFile, open_trackers, write_curve


def epoch(number: int, loss: float) -> dict[str, object]:
    return {"kind": "epoch", "step": 10 * number, "epoch": number, "epoch_loss": loss}


def test_a_training_that_goes_on_writes_later_lines_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for number in (1, 2, 3):
        MetricsFile(path, 10**6).write(epoch(number, 1 / number))
    with path.open("ab") as file:
        file.write(b'{"kind":"epoch","step":40,"ep')  # cut off by a kill
    continued = MetricsFile(path, 20)
    continued.write(epoch(3, 0.25))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["epoch"], line["epoch_loss"]) for line in lines] == [(1, 1.0), (2, 0.5), (3, 0.25)]


def test_a_validation_made_again_after_a_restart_stands_once(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.jsonl", 0)
    line = {"kind": "validation", "step": 5, "epoch": 1, "AP": 0.5}
    metrics.write({**line, "seconds": 1.0})
    metrics.write({**line, "seconds": 2.0})
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1


def test_the_curve_is_a_picture_that_changes_with_the_numbers(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.jsonl", 0)
    write_curve(tmp_path / "curve.png", metrics, "toy")
    assert not (tmp_path / "curve.png").exists()  # no epoch, no curve
    pictures = []
    for number in (1, 2, 3):
        metrics.write(epoch(number, 1 / number))
        metrics.write({"kind": "validation", "step": 10 * number, "epoch": number, "AP": number / 10})
        write_curve(tmp_path / "curve.png", metrics, "toy")
        picture = cv2.imread(str(tmp_path / "curve.png"))
        assert picture is not None
        assert picture.std() > 5
        pictures.append(picture.tobytes())
    assert len(set(pictures)) == 3


def test_tensorboard_reads_what_was_logged(tmp_path: Path) -> None:
    (tracker,) = open_trackers(["tensorboard"], tmp_path, "abc", {})
    for step in (1, 2):
        tracker.log({"train/loss_inter": 1 / step}, step)
    tracker.close()
    # A process of its own: reading brings in packages that warn.
    code = (
        "import sys; from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "events = EventAccumulator(sys.argv[1]); events.Reload()\n"
        "print([(e.step, e.value) for e in events.Scalars('train/loss_inter')])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "tensorboard")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[(1, 1.0), (2, 0.5)]"


@pytest.mark.slow
def test_weights_and_biases_keeps_a_run_with_the_id_of_the_training(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from crowdbench.training.metrics import open_trackers\n"
        "(tracker,) = open_trackers(['wandb'], Path(sys.argv[1]), 'abc123', {'epochs': 3})\n"
        "tracker.log({'train/loss': 0.5}, 1); tracker.close()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    environment = {"WANDB_MODE": "offline", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert "train/loss 0.5" in done.stderr
    assert list(tmp_path.glob("wandb/offline-run-*-abc123/run-abc123.wandb"))


def test_a_tracker_that_does_not_exist_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'tensorboard'"):
        open_trackers(["tensorbord"], tmp_path, "abc", {})
