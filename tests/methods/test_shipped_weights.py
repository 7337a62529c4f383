"""The weights that come with the package, on data drawn afresh."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crowdbench.weights import Wanted, weights_table

# method: AP of the training that docs/training.md describes
TRAINED = {"i2rnet-tiny": 0.751, "hrnet-tiny": 0.754, "pinet-tiny": 0.622}


@pytest.mark.parametrize("method", TRAINED)
def test_shipped_weights_are_small_and_verified(method: str) -> None:
    entry = weights_table()[f"{method}/synthcrowd"]
    wanted = Wanted.of_entry(entry)
    assert wanted.path.stat().st_size <= 8_000_000
    assert entry.training_data == "synthcrowd train"
    assert not wanted.lock_file.exists()  # the package's folder is not ours to write to


@pytest.mark.slow
@pytest.mark.parametrize("method", TRAINED)
def test_a_shipped_network_has_learned_and_finds_crowds_harder(method: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crowdbench", "run", method, "synthcrowd", "--json", "--device", "cpu"]
    environment = {**os.environ, "CROWDBENCH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "runs")],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    record = json.loads(done.stdout)
    scores = record["scores"]
    assert record["protocol"]["images"] == 200
    assert record["protocol"]["complete"]
    assert scores["AP"] >= 0.60
    assert scores["AP"] == pytest.approx(TRAINED[method], abs=0.01)
    assert scores["AP_easy"] > scores["AP_medium"] > scores["AP_hard"]
