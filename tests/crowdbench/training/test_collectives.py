"""A training shared among processes (gloo, on this machine) is the training of one process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from crowdbench.errors import SettingsError
from crowdbench.system.distributed import ProcessInfo, from_environment

Trained = Callable[..., Path]


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, ProcessInfo()),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, ProcessInfo(3, 4, 1)),
        ({"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3", "SLURM_LOCALID": "0"}, ProcessInfo(2, 3, 0)),
        # A batch script, which srun has not started.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"}, ProcessInfo()),
        # torchrun inside a Slurm job.
        (
            {
                "RANK": "1",
                "WORLD_SIZE": "2",
                "LOCAL_RANK": "1",
                "SLURM_PROCID": "0",
                "SLURM_STEP_NUM_TASKS": "1",
            },
            ProcessInfo(1, 2, 1),
        ),
    ],
    ids=["alone", "torchrun", "srun", "batch-script", "torchrun-in-slurm"],
)
def test_launchers_say_which_process_this_is(environment: dict[str, str], place: ProcessInfo) -> None:
    assert from_environment(environment) == place


@pytest.mark.parametrize(
    "environment",
    [
        {"WORLD_SIZE": "2"},
        {"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0"},
        {"RANK": "one", "WORLD_SIZE": "2", "LOCAL_RANK": "0"},
    ],
    ids=["incomplete", "out-of-range", "no-number"],
)
def test_a_launcher_that_contradicts_itself_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="RANK"):
        from_environment(environment)


def shared_and_alone(trained: Trained, out: Path, recipe: dict[str, Any]) -> list[Path]:
    # 12 images: steps of 6, so that both processes always have equally many.
    common = {"epochs": 1, "batch_norm": "frozen", **recipe}
    return [
        trained(out / str(count), processes=count, limit=12, recipe={**common, "batch_size": 6 // count})
        for count in (1, 2)
    ]


@pytest.mark.slow
def test_two_processes_with_half_the_batch_each_move_the_weights_like_one(
    trained: Trained, tmp_path: Path
) -> None:
    # Dropout is each process's own: it must not differ.
    runs = shared_and_alone(
        trained, tmp_path, {"loss_reduction": "persons", "optimizer": "sgd", "freeze": ["3"]}
    )
    alone, shared = (load_file(run / "checkpoints" / "last.safetensors") for run in runs)
    start = trained(tmp_path / "other", limit=12, seed=9, recipe={"epochs": 1})
    assert not torch.allclose(
        alone["0.weight"], load_file(start / "checkpoints" / "last.safetensors")["0.weight"], atol=1e-3
    )
    for name, tensor in alone.items():
        assert torch.allclose(tensor, shared[name], atol=1e-5), name
    losses = [
        [
            json.loads(line)["epoch_loss"]
            for line in (run / "metrics.jsonl").read_text().splitlines()
            if "epoch_loss" in line
        ]
        for run in runs
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.slow
def test_a_validation_shared_by_processes_predicts_every_person_once(
    trained: Trained, tmp_path: Path
) -> None:
    runs = shared_and_alone(
        trained, tmp_path, {"loss_reduction": "persons", "optimizer": "sgd", "freeze": ["3"]}
    )
    scores = []
    for run in runs:
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        scores.append(next(line for line in lines if line["kind"] == "validation"))
    for name in ("AP", "AP50", "AR"):
        assert scores[0][name] == pytest.approx(scores[1][name], abs=1e-3), name
    import gzip

    persons = [
        sorted(r["image_id"] for r in json.loads(gzip.decompress((run / "validation.json.gz").read_bytes())))
        for run in runs
    ]
    assert persons[0] == persons[1]


@pytest.mark.slow
def test_a_shared_training_killed_and_continued_ends_with_the_same_bits(
    trained: Trained, start_training: Callable[..., Any], tmp_path: Path
) -> None:
    import os
    import signal
    import time

    options: dict[str, Any] = {"processes": 2, "recipe": {"epochs": 3}, "save_every_s": 0}
    whole = trained(tmp_path / "whole", **options)
    with start_training(tmp_path / "killed", env={"TOY_STEP_S": "0.2"}, **options) as process:
        while len(list((tmp_path / "killed").rglob("step-*.json"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    # torchrun's children are in its group; nobody is left to hold the lock.
    killed = trained(tmp_path / "killed", **options)
    for name in ("best", "last"):
        file = f"checkpoints/{name}.safetensors"
        assert (killed / file).read_bytes() == (whole / file).read_bytes()
