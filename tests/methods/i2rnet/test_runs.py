"""I2R-Net vanilla through the command line, on the real samples, with ground-truth and detector boxes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crowdbench.run_store.scan import find_runs
from crowdbench.system.files.reading import read_bytes

DETECTIONS = {
    "crowdpose": "json/det_for_crowd_test_0.1_0.5.json",
    "coco": "person_detection_results/COCO_val2017_detections_AP_H_56_person.json",
}


def command(dataset: str, out: Path, *more: str) -> list[str]:
    run = [sys.executable, "-m", "crowdbench", "run", "i2rnet-vanilla", dataset, "--weights", "none"]
    return [*run, "--out", str(out), "--json", *more]


def run(dataset: str, out: Path, *more: str) -> dict[str, Any]:
    done = subprocess.run(command(dataset, out, *more), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "more", "persons", "images"),
    [
        ("crowdpose", [], 4, 2),
        ("ochuman", ["--split", "val"], 5, 3),
        ("coco", ["--limit", "12"], 80, 12),
    ],
)
def test_it_runs_end_to_end_with_ground_truth_boxes(
    real_data: Path, tmp_path: Path, dataset: str, more: list[str], persons: int, images: int
) -> None:
    record = run(dataset, tmp_path, "--root", str(real_data / dataset), *more)
    assert record["state"] == "done"
    assert record["protocol"]["boxes"] == "gt"
    assert record["counts"]["images"] == images
    assert 0 < record["counts"]["predictions"] <= persons
    assert 0 <= record["scores"]["AP"] < 0.5
    predictions = json.loads(read_bytes(Path(record["run"]) / "predictions.json.gz", "predictions"))
    assert len(predictions) == record["counts"]["predictions"]
    assert {len(p["keypoints"]) for p in predictions} == {42 if dataset == "crowdpose" else 51}


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "persons"), [("crowdpose", 6), ("coco", 118)])
def test_it_runs_end_to_end_with_a_detectors_boxes(
    real_data: Path, tmp_path: Path, dataset: str, persons: int
) -> None:
    root = real_data / dataset
    record = run(dataset, tmp_path, "--root", str(root), "--boxes", str(root / DETECTIONS[dataset]))
    assert record["state"] == "done"
    assert record["protocol"]["boxes"].startswith("detector:")
    assert 0 < record["counts"]["predictions"] <= persons


@pytest.mark.slow
def test_grouping_detections_is_another_protocol_with_other_poses(real_data: Path, tmp_path: Path) -> None:
    root = real_data / "crowdpose"
    boxes = ["--root", str(root), "--boxes", str(root / DETECTIONS["crowdpose"])]
    alone = run("crowdpose", tmp_path, *boxes)
    grouped = run("crowdpose", tmp_path, *boxes, "--set", "group_detections=true")
    assert alone["id"] != grouped["id"]
    assert grouped["settings"]["group_detections"] is True


@pytest.mark.slow
def test_the_real_network_killed_and_resumed_predicts_the_same_bytes(tmp_path: Path) -> None:
    """Network output depends, in its last bits, on what else is in a batch: restarts must not change batches."""
    more = ["--limit", "8", "--batch-size", "8", "--save-every", "0"]
    whole = run("synthcrowd", tmp_path / "whole", *more)
    for batches in (1, 2, 3):
        process = subprocess.Popen(
            command("synthcrowd", tmp_path / "killed", *more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while (
            len(list((tmp_path / "killed").rglob("parts/*.json"))) < batches and time.monotonic() < deadline
        ):
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    resumed = run("synthcrowd", tmp_path / "killed", *more)
    files = [Path(record["run"]) / "predictions.json.gz" for record in (whole, resumed)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert whole["scores"] == resumed["scores"]
    log = (files[1].parent / "log.txt").read_text()
    assert re.search(r"continued: [3-7] of \d batches were done before", log)
    assert len(find_runs(tmp_path / "killed")) == 1
