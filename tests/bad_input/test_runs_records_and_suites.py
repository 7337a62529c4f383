"""The sections "Runs, records and suites" and "Sets of drawn crowds" of docs/bad-input.md."""

import json
import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from support.bad_input_cases import Cases
from support.data import coco_files

from crowdbench.cli import main
from crowdbench.run_store.lease import new_claim
from crowdbench.system.files.writing import temporary_beside

case = Cases("Runs, records and suites")
drawn = Cases("Sets of drawn crowds")
REPLAY = [
    *("run", "results", "crowdpose", "--root", "data", "--weights", "found.json"),
    *("--set", "boxes=gt", "--set", "system=ours"),
]
SYNTH = ["data", "synth", "set", "--images", "2", "--size", "64x64"]


def data() -> None:
    """A dataset of three images, and results for it."""
    coco_files.write(Path("data"), "json/crowdpose_test.json")
    people = coco_files.document(14)["annotations"]
    found = [{"image_id": p["image_id"], "category_id": 1, "keypoints": p["keypoints"]} for p in people]
    Path("found.json").write_text(json.dumps([{**e, "score": 0.5 + 0.1 * i} for i, e in enumerate(found)]))


def given(command: list[str]) -> None:
    """The command was given before, and went well."""
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert not ended.value.code


def replayed() -> Path:
    """A finished run in ``runs/``; its directory."""
    data()
    given(REPLAY)
    (record,) = Path("runs").glob("*/*/*/run.json")
    return record.parent


def number_of_a_killed_process() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def left_by_a_killed_process(path: Path) -> Path:
    """The name of a temporary file of a process that is gone."""
    name = temporary_beside(path).name.replace(f".{os.getpid()}.", f".{number_of_a_killed_process()}.")
    return path.with_name(name)


@case("runs-in-a-file")
def _(_: Path) -> list[str]:
    data()
    Path("file").touch()
    return [*REPLAY, "--out", "file"]


@case("runs-where-nothing-can-be-made")
def _(_: Path) -> list[str]:
    data()
    return [*REPLAY, "--out", "/proc/runs"]


@case("a-killed-process")
def _(_: Path) -> list[str]:
    run = replayed()
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "state": "running"}))
    claim = msgspec.structs.replace(new_claim(), pid=number_of_a_killed_process())
    (run / "writer.json").write_bytes(msgspec.json.encode(claim))
    left_by_a_killed_process(run / "scores.json").write_text("{")
    return REPLAY


def recomputed(state: str) -> Path:
    run = replayed()
    (run / "again").mkdir()
    record = json.loads((run / "run.json").read_text())
    (run / "again" / "run.json").write_text(json.dumps({**record, "state": state}))
    return run


@case("recomputation-killed")
def _(_: Path) -> list[str]:
    recomputed("running")
    return REPLAY


@case("recomputation-killed-at-its-end")
def _(_: Path) -> list[str]:
    run = recomputed("done")
    (run / "predictions.json.gz").rename(run / "again" / "predictions.json.gz")
    return REPLAY


@case("recomputation-without-a-record")
def _(_: Path) -> list[str]:
    run = replayed()
    (run / "again").mkdir()
    return REPLAY


@case("parts-left")
def _(_: Path) -> list[str]:
    run = replayed()
    (run / "parts").mkdir()
    (run / "parts" / "000000-000002.json").write_text("{}")
    return REPLAY


@drawn("set-in-the-present-folder")
def _(_: Path) -> list[str]:
    return [*SYNTH[:2], ".", *SYNTH[3:]]


@drawn("set-where-something-else-is")
def _(_: Path) -> list[str]:
    Path("set").mkdir()
    Path("set/notes.txt").touch()
    return SYNTH


@drawn("set-where-a-file-is")
def _(_: Path) -> list[str]:
    Path("set").touch()
    return SYNTH


@drawn("set-of-another-seed")
def _(_: Path) -> list[str]:
    given([*SYNTH, "--seed", "5"])
    return SYNTH


@drawn("set-half-drawn")
def _(_: Path) -> list[str]:
    left = left_by_a_killed_process(Path("set"))
    (left / "images").mkdir(parents=True)
    return SYNTH


@pytest.mark.parametrize("cases", [case, drawn], ids=["runs", "sets"])
def test_every_row_has_a_case(cases: Cases) -> None:
    cases.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.check(name, tmp_path, monkeypatch, capsys)
    for run in tmp_path.glob("runs/*/*/*"):
        left = {path.name for path in run.iterdir()} - {"again"}
        assert left == {"log.txt", "predictions.json.gz", "run.json", "scores.json"}


@pytest.mark.parametrize("name", drawn.makers)
def test_the_command_says_of_sets_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn.check(name, tmp_path, monkeypatch, capsys)
    assert not list(tmp_path.rglob("*.tmp"))
    assert not list(tmp_path.rglob(".*drawing"))
