"""The section "What lies in a run's directory" of docs/bad-input.md."""

import gzip
import json
import os
from pathlib import Path

import pytest
from support.bad_input_cases import Cases
from support.data import coco_files
from support.methods.faulty_plugins import METHOD, install

from crowdbench import plugins
from crowdbench.cli import main

case = Cases("What lies in a run's directory")
REPLAY = [
    *("run", "results", "crowdpose", "--root", "data", "--weights", "found.json"),
    *("--set", "boxes=gt", "--set", "system=ours"),
]


def replayed() -> Path:
    """A finished run in ``runs/``; its directory."""
    coco_files.write(Path("data"), "json/crowdpose_test.json")
    document = coco_files.document(14)
    entries = [
        {
            "image_id": p["image_id"],
            "category_id": 1,
            "keypoints": p["keypoints"],
            "score": 0.5 + p["id"] / 100,
        }
        for p in document["annotations"]
    ]
    Path("found.json").write_text(json.dumps(entries))
    with pytest.raises(SystemExit) as ended:
        main(REPLAY)
    assert not ended.value.code
    (record,) = Path("runs").glob("*/*/*/run.json")
    return record.parent


def touched_later(path: Path) -> None:
    os.utime(path, (2e9, 2e9))


def emptied() -> Path:
    run = replayed()
    (run / "predictions.json.gz").write_bytes(b"[]")
    return run


@case("shown-again")
def _(_: Path) -> list[str]:
    replayed()
    return REPLAY


@case("predictions-replaced-run")
def _(_: Path) -> list[str]:
    emptied()
    return REPLAY


@case("predictions-replaced-leaderboard")
def _(_: Path) -> list[str]:
    emptied()
    return ["leaderboard", "runs"]


@case("predictions-of-the-same-size")
def _(_: Path) -> list[str]:
    path = replayed() / "predictions.json.gz"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    touched_later(path)
    return ["leaderboard", "runs"]


@case("predictions-replaced-analyse")
def _(_: Path) -> list[str]:
    return ["analyse", str(emptied()), "--root", "data"]


@case("predictions-replaced-report")
def _(_: Path) -> list[str]:
    return ["report", str(emptied()), "--root", "data", "--out", "page.html"]


@case("predictions-replaced-compare")
def _(_: Path) -> list[str]:
    return ["compare", str(emptied()), "found.json", "--root", "data"]


@case("predictions-rounded-score")
def _(_: Path) -> list[str]:
    path = replayed() / "predictions.json.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"0.6", b"0.5")))
    return ["score", str(path), "crowdpose", "--root", "data"]


@case("predictions-replaced-and-made-anew")
def _(_: Path) -> list[str]:
    emptied()
    return [*REPLAY, "--again"]


def edited() -> Path:
    """A run with another AP in its record, and the record's old time."""
    path = replayed() / "run.json"
    content = json.loads(path.read_text())
    content["scores"]["AP"] = 0.123
    content["finished"] = "2020-01-01T00:00:00+00:00"
    path.write_text(json.dumps(content))
    os.utime(path, (1.5e9, 1.5e9))
    return path


@case("scores-edited")
def _(_: Path) -> list[str]:
    touched_later(edited())
    return ["leaderboard", "runs"]


@case("scores-edited-long-ago")
def _(_: Path) -> list[str]:
    edited()
    return ["leaderboard", "runs"]


@case("scores-edited-and-shown")
def _(_: Path) -> list[str]:
    edited()
    return REPLAY


@case("scores-that-are-no-scores")
def _(_: Path) -> list[str]:
    (edited().parent / "scores.json").write_text("[]")
    return ["leaderboard", "runs"]


@case("predictions-removed-analyse")
def _(_: Path) -> list[str]:
    run = replayed()
    (run / "predictions.json.gz").unlink()
    return ["analyse", str(run), "--root", "data"]


def changing(folder: Path, module: str, offset: str) -> list[str]:
    """The command that runs a method anew whose keypoints are an offset from the middle of a box."""
    install(folder / "site", module, METHOD.replace("box[2:] / 2", f"box[2:] / 2 + {offset}"))
    coco_files.write(Path("data"), "json/crowdpose_test.json")
    command = ["run", "odd", "crowdpose", "--root", "data", "--workers", "0"]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert not ended.value.code
    return [*command, "--again"]


@case("another-number-every-time")
def _(folder: Path) -> list[str]:
    return changing(folder, "odd_random", "np.random.default_rng().random()")


@case("a-variable-that-decides")
def _(folder: Path) -> list[str]:
    command = changing(folder, "odd_variable", "int(__import__('os').environ.get('ODD_OFFSET', '0'))")
    os.environ["ODD_OFFSET"] = "3"
    return command


@case("the-same-number-every-time")
def _(_: Path) -> list[str]:
    replayed()
    return [*REPLAY, "--again"]


@case("precision-of-a-replay")
def _(_: Path) -> list[str]:
    replayed()
    return [*REPLAY, "--precision", "bf16"]


@case("compiled-replay")
def _(_: Path) -> list[str]:
    replayed()
    return [*REPLAY, "--compile"]


@case("precision-of-a-suite")
def _(_: Path) -> list[str]:
    Path("mine.toml").write_text(
        'name = "mine"\ndescription = "x"\nsource = "x"\n'
        '[[run]]\ntable = "T"\nmethod = "results"\ndataset = "crowdpose"\nboxes = "gt"\n'
    )
    return ["sweep", "mine.toml", "--precision", "fp16"]


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("ODD_OFFSET", "0")
    plugins.installed.cache_clear()
    case.check(name, tmp_path, monkeypatch, capsys)


def test_a_replay_has_no_machine_and_no_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record = json.loads((replayed() / "run.json").read_text())
    assert record["device"] == "none"
    assert (record["host"], record["timings"], record["images"]) == ({}, {}, None)
