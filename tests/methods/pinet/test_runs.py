"""PINet through the command line: run, continued and trained, on drawn crowds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.reference.pinet_networks import pinet

import crowdbench
from crowdbench.api.load_method import load_method
from crowdbench.run_store.run import Run
from crowdbench.run_store.scan import find_runs
from crowdbench_pinet.method import PINetTiny


def bench(*arguments: str, launcher: tuple[str, ...] = ()) -> str:
    command = [sys.executable, *launcher, "-m", "crowdbench", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("crowds")
    for split, images in (("train", 8), ("val", 2), ("test", 3)):
        bench("data", "synth", str(root), "--split", split, "--images", str(images))
    return root


def trained(crowds: Path, out: Path, *options: str, launcher: tuple[str, ...] = ()) -> Run:
    arguments = ("train", "pinet-tiny", "synthcrowd", "--root", str(crowds), "--out", str(out))
    bench(*arguments, "--epochs", "1", "--recipe", "batch_size=4", *options, launcher=launcher)
    (run,) = find_runs(out)
    return run


@pytest.mark.slow
def test_pinet_is_trained_then_run_without_boxes(crowds: Path, tmp_path: Path) -> None:
    run = trained(crowds, tmp_path)
    assert run.record.state == "done"
    assert run.record.paradigm == "bottom-up"
    assert run.record.protocol.boxes == "none"
    assert run.record.protocol.training_data == "synthcrowd train"
    assert run.record.counts["images"] == 3
    assert "no boxes" in bench("leaderboard", str(tmp_path))


@pytest.mark.slow
def test_two_processes_train_pinet_together(crowds: Path, tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    arguments = ["train", "pinet-tiny", "synthcrowd", "--root", str(crowds), "--out", str(tmp_path)]
    options = ["--epochs", "1", "--recipe", "batch_size=2", "--no-evaluate"]
    bench(*arguments, *options, launcher=launcher)
    (file,) = tmp_path.rglob("training.json")
    record = json.loads(file.read_text())
    assert record["state"] == "done"
    assert record["processes"] == 2
    assert (file.parent / "checkpoints" / "best.safetensors").is_file()


@pytest.mark.slow
def test_two_scales_propose_more_than_one_and_are_recorded(crowds: Path, tmp_path: Path) -> None:
    dataset = crowdbench.load_dataset("synthcrowd", split="test", root=crowds)
    runs: dict[int, Any] = {}
    for count, scales in ((1, (1.0,)), (2, (1.0, 0.5))):
        method = load_method("pinet-tiny", dataset, scales=scales, candidate_threshold=-1.0)
        assert isinstance(method, PINetTiny)
        runs[count] = crowdbench.evaluate(method, dataset, weights="none", out=tmp_path)
    assert runs[2].record.protocol.changed_settings["scales"] == (1.0, 0.5)
    assert runs[2].record.counts["predictions"] > runs[1].record.counts["predictions"] > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scales": "[0.3]"}, "multiples of 0.5"),
        ({"scales": "[1.0, 1.0]"}, "different multiples"),
        ({"short_side": "500"}, "multiple of 64"),
        ({"longest_side": "256"}, "must not be below short_side"),
        ({"candidates_per_part": "0"}, "at least 1"),
        ({"nms_threshold": "1.5"}, "from 0 to 1"),
        ({"nms_sigmas": "[0.1]"}, "14 keypoints"),
        ({"refinement_sampling": "nearest"}, "refinement_sampling"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(crowdbench.CrowdbenchError, match=message):
        pinet("crowdpose", **settings)
