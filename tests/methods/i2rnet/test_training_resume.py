"""Trainings of real networks: killed and continued, with attention, dropout, batch norms, loader workers and
all; and shared by two processes.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod


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
    command += ["--epochs", "3", "--recipe", "batch_size=2", "--save-every", "0", "--deterministic"]
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


@pytest.mark.slow
def test_two_processes_with_half_the_batch_each_take_the_step_of_one(tmp_path: Path) -> None:
    crowds = tmp_path / "crowds"
    command = [sys.executable, "-m", "crowdbench", "data", "synth", str(crowds), "--split", "train"]
    subprocess.run([*command, "--images", "4", "--workers", "1"], check=True)
    train = ["crowdbench", "train", "hrnet-tiny", "synthcrowd", "--root", str(crowds), "--epochs", "1"]
    train += ["--validate-on", "none", "--no-evaluate", "--device", "cpu", "--workers", "0"]
    for value in ("batch_norm=frozen", "loss_reduction=persons", "optimizer=sgd", "learning_rate=1"):
        train += ["--recipe", value]
    found = []
    for processes in (1, 2):
        shared = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
        started = [sys.executable, "-m", *(shared if processes > 1 else []), *train]
        out = tmp_path / str(processes)
        subprocess.run(
            [*started, "--out", str(out), "--recipe", f"images={4 // processes}"],
            check=True,
            capture_output=True,
        )
        (metrics,) = out.rglob("metrics.jsonl")
        (last,) = out.rglob("last.safetensors")
        found.append((json.loads(metrics.read_text().splitlines()[-1])["epoch_loss"], load_file(last)))
    (one_loss, one), (two_loss, two) = found
    assert one_loss == pytest.approx(two_loss, abs=1e-5)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=1e-5), name
    torch.manual_seed(0)
    method = load_method("hrnet-tiny", "synthcrowd")
    assert isinstance(method, NetworkMethod)
    began = method.build_network().state_dict()
    moved = max((tensor - began[name]).abs().max().item() for name, tensor in one.items())
    assert moved > 1e-3
