"""A training from its start to its end: killed, stopped, repeated, and told wrong things."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from crowdbench.training import TrainingRun
from crowdbench.training.metrics import MetricsFile

Trained = Callable[..., Path]
Start = Callable[..., Any]


def lines_of(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def weights_of(run: Path) -> dict[str, bytes]:
    return {name: (run / "checkpoints" / f"{name}.safetensors").read_bytes() for name in ("best", "last")}


@pytest.fixture(scope="module")
def undisturbed(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("undisturbed"))


def test_a_training_learns_and_leaves_what_was_done(undisturbed: Path) -> None:
    record = TrainingRun.read(undisturbed).record
    assert record.state == "done"
    assert record.images == 13
    assert record.selection == "validation"
    assert record.not_applied == {"weight_decay": 0.1}
    epochs = lines_of(undisturbed, "epoch")
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    assert epochs[-1]["epoch_loss"] < 0.8 * epochs[0]["epoch_loss"]
    scores = [line["AP"] for line in lines_of(undisturbed, "validation")]
    assert record.best is not None
    assert record.best.score == max(scores)
    assert (undisturbed / "curve.png").stat().st_size > 5_000


def test_kept_weights_say_what_they_were_trained_on(undisturbed: Path) -> None:
    with safe_open(undisturbed / "checkpoints" / "best.safetensors", "pt") as file:
        facts = json.loads(file.metadata()["crowdbench"])
    assert facts["training_data"] == "synthcrowd train"
    assert facts["method"] == "toy"


@pytest.mark.parametrize("options", [{}, {"workers": 2}], ids=["again", "other-workers"])
def test_the_same_training_ends_with_the_same_bits(
    undisturbed: Path, trained: Trained, tmp_path: Path, options: dict[str, Any]
) -> None:
    assert weights_of(trained(tmp_path, **options)) == weights_of(undisturbed)


def test_another_seed_ends_elsewhere(undisturbed: Path, trained: Trained, tmp_path: Path) -> None:
    other = trained(tmp_path, seed=1)
    assert other.name != undisturbed.name
    assert weights_of(other) != weights_of(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe", [{}, {"ema": 0.9, "accumulate": 2, "clip_norm": 1.0, "optimizer": "sgd"}], ids=["plain", "much"]
)
def test_a_training_killed_ten_times_ends_with_the_bits_of_an_undisturbed_one(
    trained: Trained, start_training: Start, tmp_path: Path, recipe: dict[str, Any]
) -> None:
    options = {"recipe": {"epochs": 8, **recipe}, "deterministic": True, "save_every_s": 0}
    whole = trained(tmp_path / "whole", **options)
    rng, kills = random.Random(5), 0
    slowly = {"TOY_STEP_S": "0.1"}
    while kills < 10:
        with start_training(tmp_path / "killed", env=slowly, **options) as process:
            begun = time.monotonic()
            run = tmp_path / "killed" / whole.relative_to(tmp_path / "whole")
            before = set(run.glob("checkpoints/step-*.json"))
            while not set(run.glob("checkpoints/step-*.json")) - before and time.monotonic() - begun < 60:
                time.sleep(0.02)
            time.sleep(rng.random() * 0.6)
            assert process.poll() is None, process.communicate()[1]
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        kills += 1
    killed = trained(tmp_path / "killed", **options)
    assert weights_of(killed) == weights_of(whole)
    for kind in ("epoch", "validation"):
        without = [
            [{k: v for k, v in line.items() if k != "seconds"} for line in lines_of(r, kind)]
            for r in (killed, whole)
        ]
        assert without[0] == without[1]


def test_a_finished_training_is_shown_not_repeated(trained: Trained, tmp_path: Path) -> None:
    run = trained(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != "writer.lock"}
    assert trained(tmp_path) == run
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(
    undisturbed: Path, start_training: Start, trained: Trained, tmp_path: Path
) -> None:
    with start_training(tmp_path, env={"TOY_STEP_S": "0.3"}, save_every_s=0) as process:
        while len(list(tmp_path.rglob("step-*.json"))) < 2:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    newest = max(tmp_path.rglob("step-*.weights.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-9])
    run = trained(tmp_path, save_every_s=0)
    assert weights_of(run) == weights_of(undisturbed)
    assert "is damaged" in (run / "log.txt").read_text()


@pytest.mark.parametrize("killed", [False, True], ids=["finished", "killed"])
def test_the_same_training_twice_at_once_is_done_once_and_taken_over_from_one_that_is_killed(
    start_training: Start, undisturbed: Path, tmp_path: Path, killed: bool
) -> None:
    slowly = {"TOY_STEP_S": "0.05"}
    with start_training(tmp_path, env=slowly) as first, start_training(tmp_path, env=slowly) as second:
        while len(list(tmp_path.rglob("step-*.json"))) < 1:
            time.sleep(0.05)
        (claim,) = tmp_path.rglob("writer.json")
        number = json.loads(claim.read_bytes())["pid"]
        mine, other = (first, second) if first.pid == number else (second, first)
        if killed:
            os.killpg(mine.pid, signal.SIGKILL)
        mine.communicate()
        _, errors = other.communicate()
    assert other.returncode == 0, errors
    assert f"process {number} on" in errors
    assert "is at this very training" in errors
    (run,) = (path.parent for path in tmp_path.rglob("training.json"))
    assert weights_of(run) == weights_of(undisturbed)
    steps = [line["step"] for line in lines_of(run, "epoch")]
    assert steps == sorted(set(steps))


def test_lines_that_were_written_twice_are_read_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    epoch, later = {"kind": "epoch", "step": 4, "epoch": 1}, {"kind": "train", "step": 5, "epoch": 2}
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in (epoch, epoch, later)) + b'{"ki')
    metrics = MetricsFile(path, step=4)
    metrics.write(epoch)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [epoch]


def test_a_loss_that_is_no_number_stops_with_the_images_of_its_batch(
    start_training: Start, crowds: Path, tmp_path: Path
) -> None:
    with start_training(tmp_path, env={"TOY_NAN_LOSS": "1"}) as process:
        _, errors = process.communicate()
    assert process.returncode == 1
    assert "not finite in step 1" in errors
    ids = {
        image["id"]
        for image in json.loads((crowds / "train/json/synthcrowd_train.json").read_text())["images"]
    }
    named = errors.split("images of its batch: ")[1].split(".")[0].split(", ")
    assert len(named) == 2
    assert {int(image) for image in named} <= ids
    (run,) = tmp_path.rglob("training.json")
    assert TrainingRun.read(run.parent).record.state == "failed"


def test_an_unwritable_place_is_an_error_before_anything_is_trained(
    start_training: Start, tmp_path: Path
) -> None:
    (tmp_path / "runs").write_text("no folder")
    with start_training(tmp_path / "runs") as process:
        _, errors = process.communicate()
    assert process.returncode == 1
    assert "MachineError" in errors
    assert "cannot be written" in errors


def test_frozen_parameters_and_their_statistics_stay(trained: Trained, tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = trained(tmp_path, recipe={"freeze": ["0", "1"], "epochs": 1})
    last = load_file(run / "checkpoints" / "last.safetensors")
    assert torch.equal(last["1.running_mean"], torch.zeros(32))
    assert torch.equal(last["1.weight"], torch.ones(32))
    assert int(last["1.num_batches_tracked"]) == 0


def test_freezing_what_is_not_there_is_refused_with_what_is(start_training: Start, tmp_path: Path) -> None:
    with start_training(tmp_path, recipe={"freeze": ["backbone"]}) as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert "'backbone'" in errors


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"precision": "fp16"}, {"compiled": True}], ids=["fp16", "compiled"])
def test_other_ways_to_compute_learn_as_well(
    undisturbed: Path, trained: Trained, tmp_path: Path, options: dict[str, Any]
) -> None:
    run = trained(tmp_path, **options)
    losses = [line["epoch_loss"] for line in lines_of(run, "epoch")]
    plain = [line["epoch_loss"] for line in lines_of(undisturbed, "epoch")]
    assert losses == pytest.approx(plain, rel=0.05)
    assert run.name != undisturbed.name  # other bits, another training


def test_accumulated_batches_move_the_weights_like_one_large_batch(trained: Trained, tmp_path: Path) -> None:
    common = {
        "epochs": 1,
        "batch_norm": "frozen",
        "loss_reduction": "persons",
        "optimizer": "sgd",
        "freeze": ["3"],
    }
    large = trained(tmp_path / "a", limit=12, recipe={**common, "batch_size": 4})
    parts = trained(tmp_path / "b", limit=12, recipe={**common, "batch_size": 2, "accumulate": 2})
    first, second = (load_file(run / "checkpoints" / "last.safetensors") for run in (large, parts))
    for name, tensor in first.items():
        assert torch.allclose(tensor, second[name], atol=1e-6), name


def test_a_moving_average_is_what_is_kept(undisturbed: Path, trained: Trained, tmp_path: Path) -> None:
    run = trained(tmp_path, recipe={"ema": 0.999})
    (averaged, last) = (load_file(r / "checkpoints" / "last.safetensors") for r in (run, undisturbed))
    (moment,) = (load_file(p) for p in [max((run / "checkpoints").glob("step-*.state.safetensors"))])
    # What trains goes the same way; what is kept lags behind it.
    assert torch.equal(moment["network.0.weight"], last["0.weight"])
    assert not torch.allclose(averaged["0.weight"], last["0.weight"], atol=1e-3)
