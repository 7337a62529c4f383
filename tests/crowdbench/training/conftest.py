"""Small drawn crowds to train on, and trainings in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[2]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``train`` (13 images) and ``val`` (5)."""
    root = tmp_path_factory.mktemp("crowds")
    for split, images in (("train", 13), ("val", 5)):
        command = [sys.executable, "-m", "crowdbench", "data", "synth", str(root / split)]
        options = ["--split", split, "--images", str(images), "--size", "256x192"]
        subprocess.run([*command, *options], check=True, capture_output=True)
    return root


@pytest.fixture(scope="session")
def start_training(crowds: Path) -> Start:
    """Starts a training of the toy, in one process or, with torchrun, in several."""

    def start(out: Path, *, processes: int = 1, env: Any = None, **options: Any) -> "subprocess.Popen[str]":
        run = [sys.executable]
        if processes > 1:
            run += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        script = [
            str(TESTS / "support/methods/train_in_subprocess.py"),
            str(out),
            json.dumps({"root": str(crowds), **options}),
        ]
        paths = [str(TESTS.parent), str(TESTS)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [*run, *script],
            env={**environment, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def trained(start_training: Start) -> Callable[..., Path]:
    """Trains the toy to the end; gives the training's directory."""

    def train(out: Path, **options: Any) -> Path:
        with start_training(out, **options) as process:
            output, errors = process.communicate()
        assert process.returncode == 0, errors
        return Path(output.strip().splitlines()[-1])

    return train
