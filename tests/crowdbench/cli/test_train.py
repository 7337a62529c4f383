"""``crowdbench train``, as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crowdbench.training import TrainingRun

TRAIN = [sys.executable, "-m", "crowdbench", "train"]


@pytest.fixture(scope="module")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder with small sets of all splits."""
    root = tmp_path_factory.mktemp("data") / "crowds"
    for split, images in (("train", 12), ("val", 4), ("test", 4)):
        command = [sys.executable, "-m", "crowdbench", "data", "synth", str(root), "--split", split]
        subprocess.run([*command, "--images", str(images), "--size", "256x192"], check=True)
    return root


def train(
    toys: dict[str, str], out: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [*TRAIN, "--out", str(out), "--workers", "0", "--device", "cpu", *arguments]
    env = {**toys, **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def training_in(out: Path) -> TrainingRun:
    (record,) = out.rglob("training.json")
    return TrainingRun.read(record.parent)


def test_a_method_is_trained_then_run_with_its_best_weights(
    toy_plugins: dict[str, str], crowds: Path, tmp_path: Path
) -> None:
    done = train(toy_plugins, tmp_path, "toy-trainable", "synthcrowd", "--root", str(crowds))
    assert done.returncode == 0, done.stderr
    assert "Best after epoch" in done.stdout
    assert "toy-trainable" in done.stdout  # the table
    training = training_in(tmp_path)
    (run,) = (json.loads(path.read_text()) for path in tmp_path.rglob("run.json"))
    assert run["weights"]["source"] == str(training.directory / "checkpoints" / "best.safetensors")
    assert run["protocol"]["training_data"] == "synthcrowd train"
    assert run["protocol"]["split"] == "test"


def test_choosing_on_the_reported_split_has_to_be_said_and_is_recorded(
    toy_plugins: dict[str, str], crowds: Path, tmp_path: Path
) -> None:
    common = ["toy-trainable", "synthcrowd", "--root", str(crowds), "--epochs", "1"]
    refused = train(toy_plugins, tmp_path, *common, "--validate-on", "test")
    assert refused.returncode == 2
    assert "--select-on-test" in refused.stderr
    done = train(toy_plugins, tmp_path, *common, "--select-on-test")
    assert done.returncode == 0, done.stderr
    assert training_in(tmp_path).record.selection == "test"
    (run,) = (json.loads(path.read_text()) for path in tmp_path.rglob("run.json"))
    assert run["protocol"]["training_data"] == "synthcrowd train, chosen on synthcrowd test"


def test_without_validation_the_last_weights_count(
    toy_plugins: dict[str, str], crowds: Path, tmp_path: Path
) -> None:
    options = ["--validate-on", "none", "--no-evaluate", "--epochs", "1"]
    done = train(toy_plugins, tmp_path, "toy-trainable", "synthcrowd", "--root", str(crowds), *options)
    assert done.returncode == 0, done.stderr
    training = training_in(tmp_path)
    assert training.record.selection == "last"
    assert training.weights.name == "last.safetensors"
    assert training.weights.is_file()
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--recipe", "learning_rat=1"], "Did you mean 'learning_rate'", id="unknown key"),
        pytest.param(["--recipe", "epochs=many"], "epochs", id="no number"),
        pytest.param(["--recipe", "epochs=0"], "at least 1", id="no epochs"),
        pytest.param(["--recipe", "epochs"], "key=value", id="no value"),
        pytest.param(["--recipe", "optimizer=adagrad"], "optimizer", id="unknown optimizer"),
        pytest.param(["--split", "trian"], "Did you mean 'train'", id="unknown split"),
        pytest.param(["--start", "nowhere.pth"], "nowhere.pth", id="weights that are not there"),
        pytest.param(["--log", "tensorbord"], "Did you mean 'tensorboard'", id="unknown tracker"),
        pytest.param(["--device", "cuda:7"], "cuda", id="no such device"),
        pytest.param(["--recipe", "batch_norm=global"], "batch_norm", id="unknown batch norm"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_trained(
    toy_plugins: dict[str, str], crowds: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    command = ["toy-trainable", "synthcrowd", "--root", str(crowds), *arguments]
    done = train(toy_plugins, tmp_path, *command)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("step-*"))


@pytest.mark.parametrize("method", ["toy-network", "toy-centre"])
def test_a_method_that_cannot_be_trained_says_so(
    toy_plugins: dict[str, str], crowds: Path, tmp_path: Path, method: str
) -> None:
    done = train(toy_plugins, tmp_path, method, "synthcrowd", "--root", str(crowds))
    assert done.returncode == 2
    assert "no recipe" in done.stderr or "no network to train" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_a_checkpoint_and_the_same_command_goes_on(
    toy_plugins: dict[str, str], crowds: Path, tmp_path: Path, number: signal.Signals
) -> None:
    arguments = ["toy-trainable", "synthcrowd", "--root", str(crowds), "--no-evaluate"]
    whole = train(toy_plugins, tmp_path / "whole", *arguments)
    assert whole.returncode == 0, whole.stderr
    command = [*TRAIN, *arguments, "--out", str(tmp_path / "stopped"), "--workers", "0", "--device", "cpu"]
    slow: dict[str, Any] = {**toy_plugins, "TOY_STEP_S": "0.3"}
    with subprocess.Popen(command, env=slow, stderr=subprocess.PIPE, text=True) as process:
        while not list((tmp_path / "stopped").rglob("training.json")):
            time.sleep(0.05)
        time.sleep(1)
        os.kill(process.pid, number)
        _, errors = process.communicate()
    assert process.returncode == 1
    assert "run the same command again to resume" in errors
    assert training_in(tmp_path / "stopped").record.state == "interrupted"
    assert list((tmp_path / "stopped").rglob("step-*.json"))
    again = train(toy_plugins, tmp_path / "stopped", *arguments)
    assert again.returncode == 0, again.stderr
    assert "continued from step" in again.stderr
    weights = [training_in(tmp_path / name).weights.read_bytes() for name in ("whole", "stopped")]
    assert weights[0] == weights[1]


def test_training_begins_with_given_weights_and_says_so(
    toy_plugins: dict[str, str], crowds: Path, tmp_path: Path
) -> None:
    common = ["toy-trainable", "synthcrowd", "--root", str(crowds), "--no-evaluate", "--epochs", "1"]
    assert train(toy_plugins, tmp_path / "a", *common).returncode == 0
    weights = training_in(tmp_path / "a").weights
    done = train(toy_plugins, tmp_path / "b", *common, "--start", str(weights), "--recipe", 'freeze=["0"]')
    assert done.returncode == 0, done.stderr
    record = training_in(tmp_path / "b").record
    assert record.started_tensors == 9
    assert str(weights) in record.training_data
