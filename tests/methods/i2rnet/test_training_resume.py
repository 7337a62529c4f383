"""A training of a real network, killed and continued: attention, dropout, batch norms, loader workers and all."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_killed_training_ends_with_the_bits_of_an_undisturbed_one(tmp_path: Path) -> None:
    crowds = tmp_path / "crowds"
    for split, images in (("train", 12), ("val", 2)):
        command = [sys.executable, "-m", "crowdbench", "data", "synth", str(crowds), "--split", split]
        subprocess.run([*command, "--images", str(images), "--workers", "1"], check=True)
    command = [
        sys.executable,
        "-m",
        "crowdbench",
        "train",
        "i2rnet-tiny",
        "synthcrowd",
        "--root",
        str(crowds),
    ]
    command += ["--epochs", "3", "--recipe", "images=2", "--save-every", "0", "--deterministic"]
    command += ["--workers", "1", "--device", "cpu", "--no-evaluate", "--precision", "bf16", "--out"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, str(whole)], check=True, capture_output=True)
    rng = random.Random(3)
    for _ in range(2):
        with subprocess.Popen(
            [*command, str(killed)], stderr=subprocess.PIPE, start_new_session=True
        ) as process:
            before, begun = set(killed.rglob("step-*.json")), time.monotonic()
            while set(killed.rglob("step-*.json")) == before and time.monotonic() - begun < 90:
                assert process.poll() is None
                time.sleep(0.02)
            time.sleep(rng.random() / 2)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    subprocess.run([*command, str(killed)], check=True, capture_output=True)
    for name in ("best", "last"):
        files = [next(root.rglob(f"{name}.safetensors")).read_bytes() for root in (whole, killed)]
        assert files[0] == files[1]
    (log,) = killed.rglob("log.txt")
    assert "continued from step" in log.read_text()
