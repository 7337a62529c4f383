"""Runs, trainings and jobs that an earlier version left on disk (tests/compatibility/earlier) are read, shown and continued."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file
from support.data.earlier_files import KEPT, Desk

import crowdbench

FINISHED = {
    "i2rnet-tiny": "synthcrowd-test/i2rnet-tiny/6912228513",
    "hrnet-tiny": "synthcrowd-test/hrnet-tiny/c80ebe43b0",
    "pinet-tiny": "synthcrowd-test/pinet-tiny/9e50906bd8",
}
INTERRUPTED, KILLED = "synthcrowd-test/toy-network/31ccef6a32", "synthcrowd-test/toy-network/17bb846ad5"
FAILED = "synthcrowd-test/toy-failing/e279500310"
TRAINED, STOPPED = "synthcrowd-train/toy-trainable/08d52a218d", "synthcrowd-train/toy-trainable/beb13e2b6a"
JOB_DONE, JOB_LOST = "toy-network-synthcrowd-768ce343", "toy-network-synthcrowd-b5dec0c9"
JOB_WAITING = "train-toy-trainable-synthcrowd-e0f3611e"

ON_PROCESSOR = ["--device", "cpu", "--workers", "0"]
TOY = ["--root", "crowds", *ON_PROCESSOR, "--weights", "none", "--batch-size", "1", "--save-every", "0"]
TRAIN = ["train", "toy-trainable", "synthcrowd", "--root", "crowds", *ON_PROCESSOR, "--no-evaluate"]
ON_QUEUE = [*ON_PROCESSOR, "--weights", "none", "--batch-size", "1", "--limit", "3", "--on", "toys"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


RECORDS = sorted(str(path.parent.relative_to(KEPT / "results")) for path in KEPT.rglob("run.json"))


@pytest.mark.parametrize("place", RECORDS)
def test_nothing_of_a_record_is_lost_when_it_is_read_and_written(place: str) -> None:
    run = crowdbench.Run.read(KEPT / "results" / place)
    before = read(KEPT / "results" / place / "run.json")
    assert kept_values(before, json.loads(msgspec.json.encode(run.record))) == before


def kept_values(before: Any, after: Any) -> Any:
    """Of what was written anew the fields that were there before: later versions may add others."""
    if isinstance(before, dict) and isinstance(after, dict):
        return {name: kept_values(value, after[name]) for name, value in before.items() if name in after}
    return after


def test_all_runs_make_a_data_frame() -> None:
    frame = crowdbench.runs(KEPT / "results").set_index("id")
    assert len(frame) == len(RECORDS) == 11
    for place in FINISHED.values():
        scores = read(KEPT / "results" / place / "scores.json")["values"]
        assert {name: frame.loc[Path(place).name, name] for name in scores} == scores


def test_status_shows_how_runs_trainings_and_jobs_stood(desk: Desk) -> None:
    rows = {row["name"]: row for row in desk.json("status", "--all")}
    assert {name: row["state"] for name, row in rows.items()} == {
        **dict.fromkeys(FINISHED.values(), "done"),
        "synthcrowd-test-crowding-0.2/hrnet-tiny/eefcd3fc76": "done",
        "synthcrowd-test-crowding-0.8/hrnet-tiny/aee60d22a8": "done",
        "synthcrowd-test/toy-trainable/38e409c88b": "done",
        INTERRUPTED: "stopped",
        KILLED: "lost",
        FAILED: "failed",
        TRAINED: "done",
        STOPPED: "stopped",
        JOB_DONE: "done",
        JOB_LOST: "lost",
        JOB_WAITING: "waiting",
    }
    for place in FINISHED.values():
        assert rows[place]["ap"] == read(KEPT / "results" / place / "run.json")["scores"]["AP"]
    assert rows[FAILED]["reason"] == "SettingsError: scale must be positive."
    assert rows[STOPPED]["reason"].startswith("stopped after step 5")
    assert "killed by signal 9" in rows[JOB_LOST]["reason"]
    assert rows[JOB_WAITING]["what"] == "train"


def test_the_leaderboard_has_the_same_tables_and_numbers(desk: Desk) -> None:
    before, after = read(KEPT / "printed" / "leaderboard.json"), desk.json("leaderboard", "runs")
    assert [table["title"] for table in after] == [table["title"] for table in before]
    for old, new in zip(before, after, strict=True):
        expected = [{**row, "directory": "runs"} for row in old["rows"]]
        assert [
            kept_values(row, {**found, "directory": "runs"})
            for row, found in zip(expected, new["rows"], strict=True)
        ] == expected


def test_two_runs_are_compared_to_the_same_result(desk: Desk) -> None:
    one, other = FINISHED["i2rnet-tiny"], FINISHED["hrnet-tiny"]
    before = read(KEPT / "printed" / "compare.json")
    after = desk.json("compare", f"runs/{one}", f"runs/{other}", "--root", "crowds", "--resamples", "200")
    assert after["conclusion"] == before["conclusion"]
    results = [(before["overall"], after["overall"])]
    results += [(level, after["levels"][name]) for name, level in before["levels"].items()]
    for old, new in results:
        assert new["persons"] == old["persons"]
        assert new["result"] == pytest.approx(old["result"], abs=1e-9)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "computed anew"])
def test_an_analysis_finds_the_same_errors(desk: Desk, kept: bool) -> None:
    analysis = desk.runs / FINISHED["i2rnet-tiny"] / "analysis.json"
    before = read(analysis)["whole"]
    if not kept:
        analysis.unlink()
    after = desk.json("analyse", analysis.parent, "--root", "crowds")["whole"]
    assert after["kinds"] == before["kinds"]
    assert after["alone"] == pytest.approx(before["alone"], abs=1e-9)


@pytest.mark.parametrize("method", ["i2rnet-tiny", "hrnet-tiny"])
def test_predictions_score_as_they_did(desk: Desk, method: str) -> None:
    run = desk.runs / FINISHED[method]
    kept = read(run / "scores.json")
    found = desk.json("score", run / "predictions.json.gz", "synthcrowd", "--root", "crowds")
    assert found["counts"] == kept["counts"]
    assert {name: found["scores"][name] for name in kept["values"]} == pytest.approx(kept["values"], abs=1e-9)


def test_the_report_shows_the_runs(desk: Desk) -> None:
    one, other = FINISHED["i2rnet-tiny"], FINISHED["hrnet-tiny"]
    desk.crowdbench("report", f"runs/{one}", f"runs/{other}", "--root", "crowds", "--pictures", "1")
    page = (desk.folder / "report.html").read_text("utf-8")
    for place in (one, other):
        record = read(desk.runs / place / "run.json")
        assert record["method"] in page
        assert record["id"] in page
        assert f"{100 * record['scores']['AP']:.1f}" in page


RERUNS = {
    "finished": (
        FINISHED["hrnet-tiny"],
        ["run", "hrnet-tiny", "synthcrowd", "--root", "crowds", *ON_PROCESSOR, "--batch-size", "8"],
    ),
    "interrupted": (INTERRUPTED, ["run", "toy-network", "synthcrowd", *TOY]),
    "killed": (KILLED, ["run", "toy-network", "synthcrowd", *TOY, "--seed", "1"]),
    "failed": (FAILED, ["run", "toy-failing", "synthcrowd", *TOY]),
}


@pytest.mark.parametrize("case", RERUNS)
def test_the_same_command_says_that_other_code_made_the_run_and_computes_beside_it(
    desk: Desk, case: str
) -> None:
    """A run's id covers the code, so a run of another version is neither shown as this one's nor continued."""
    place, command = RERUNS[case]
    before = contents(desk.runs / place)
    old = read(desk.runs / place / "run.json")
    done = desk.crowdbench(*command)
    said = rf"computed anew: the run {old['id']} of \S+ \S+ UTC \({old['state']}\) had other code \([^)]*crowdbench"
    assert re.search(said, done.stderr), done.stderr
    assert contents(desk.runs / place) == before
    (new,) = (
        path
        for path in (desk.runs / place).parent.iterdir()
        if not (KEPT / "results" / place).parent.joinpath(path.name).exists()
    )
    record = crowdbench.Run.read(new).record
    assert (record.state, record.counts["images_predicted"]) == ("done", 4)
    if old["scores"]:
        assert record.scores is not None
        assert record.scores["AP"] == pytest.approx(old["scores"]["AP"], abs=0.02)


def test_an_interrupted_training_goes_on_from_its_checkpoint(desk: Desk) -> None:
    folder = desk.runs / STOPPED
    record = read(folder / "training.json")
    measured = (folder / "metrics.jsonl").read_text()
    done = desk.crowdbench(*TRAIN, "--epochs", "2", "--seed", "1", "--save-every", "0")
    assert "continued from step 5 (epoch 2)" in done.stderr
    after = read(folder / "training.json")
    assert (after["state"], after["finished"] > record["finished"]) == ("done", True)
    changing = {"state", "reason", "started", "finished", "seconds", "best", "versions", "host", "command"}
    lasting = {name: value for name, value in record.items() if name not in changing}
    assert kept_values(lasting, after) == lasting
    lines = (folder / "metrics.jsonl").read_text()
    assert lines.startswith(measured)
    assert json.loads(lines.splitlines()[-1])["step"] == 6
    # To the weights that it would have reached undisturbed.
    desk.crowdbench(*TRAIN, "--epochs", "2", "--seed", "1", "--out", "undisturbed")
    found, expected = (
        load_file(place / STOPPED / "checkpoints" / "last.safetensors")
        for place in (desk.runs, desk.folder / "undisturbed")
    )
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor, atol=1e-4, err_msg=name)


def test_a_finished_training_is_not_repeated_and_its_weights_are_used(desk: Desk) -> None:
    before = contents(desk.runs / TRAINED)
    done = desk.crowdbench(*TRAIN, "--epochs", "2")
    assert f"runs/{TRAINED}/checkpoints/best.safetensors" in done.stdout
    assert contents(desk.runs / TRAINED) == before
    weights = f"runs/{TRAINED}/checkpoints/best.safetensors"
    found = desk.json(
        "run", "toy-trainable", "synthcrowd", "--root", "crowds", *ON_PROCESSOR, "--weights", weights
    )
    assert json.dumps(found).count("synthcrowd train")


def test_jobs_are_found_again_by_the_same_command(desk: Desk) -> None:
    queued = desk.submitted()
    waiting = [*ON_PROCESSOR, "--epochs", "2", "--seed", "7", "--on", "toys"]
    found = desk.crowdbench("train", "toy-trainable", "synthcrowd", *waiting)
    assert JOB_WAITING in found.stdout + found.stderr
    assert desk.submitted() == queued
    lost = desk.crowdbench("run", "toy-network", "synthcrowd", *ON_QUEUE, "--seed", "3", "--save-every", "0")
    assert f"{JOB_LOST}: submitted" in lost.stdout + lost.stderr
    # Made by other code, it is not what would be made now.
    done = desk.crowdbench("run", "toy-network", "synthcrowd", *ON_QUEUE)
    assert f"{JOB_DONE}: submitted" in done.stdout + done.stderr
    assert len(desk.submitted()) == len(queued) + 2
    assert {desk.states()[name] for name in (JOB_DONE, JOB_LOST, JOB_WAITING)} == {"waiting"}


def test_a_waiting_job_can_be_called_off_and_a_finished_one_tells_what_it_said(desk: Desk) -> None:
    desk.crowdbench("cancel", JOB_WAITING)
    assert desk.states()[JOB_WAITING] == "cancelled"
    (desk.queue / "1" / "0.log").write_text("3 images, 15 predictions\n")
    assert "3 images, 15 predictions" in desk.crowdbench("logs", JOB_DONE).stdout


@pytest.mark.slow  # the process that was killed ran elsewhere: only 30 s of silence tell that it is dead
def test_a_lost_job_is_carried_out_as_it_was_asked_for(desk: Desk) -> None:
    folder = desk.runs / "jobs" / JOB_LOST
    order = read(folder / "job.json")
    order["request"]["root"] = str(desk.folder / "crowds")
    (folder / "job.json").write_text(json.dumps(order))
    task = desk.python("-m", "support.cluster.toy_queue", "task", folder, "2", "1")
    assert task.returncode == 0, task.stderr
    state = read(folder / "state.json")
    assert (state["state"], state["completed"], len(state["starts"])) == ("done", 1, 2)
    record = crowdbench.Run.read(Path(state["runs"][-1])).record
    assert (record.method, record.seed, record.batch_size, record.protocol.images) == ("toy-network", 3, 1, 3)
    assert desk.states()[JOB_LOST] == "done"


def test_a_suite_is_read_and_runs_of_other_code_are_to_be_done(desk: Desk) -> None:
    plan = desk.json("sweep", "suite.toml", "--root", "synthcrowd=crowds", *ON_PROCESSOR, "--dry-run")
    assert [(row["method"], row["boxes"], row["state"]) for row in plan] == [
        ("hrnet-tiny", "gt", "ready"),
        ("pinet-tiny", "none", "ready"),
    ]
