"""The section "Files, folders and devices" of docs/bad-input.md."""

import gzip
import os
import shutil
from pathlib import Path

import pytest
from support.bad_input_cases import Cases
from support.data import coco_files
from support.data.images import save
from support.runs import report_runs

case = Cases("Files, folders and devices")
ESCAPES = "\x1b]0;owned\x07\x9b31m\u202e.json"


def scored(folder: Path, predictions: str = "predictions.json") -> list[str]:
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    return ["score", predictions, "crowdpose", "--root", "data"]


@case("a-pipe-of-predictions")
def _(folder: Path) -> list[str]:
    os.mkfifo(folder / "predictions.json")
    return scored(folder)


@case("a-pipe-of-annotations")
def _(folder: Path) -> list[str]:
    os.mkfifo(folder / "truth.json")
    (folder / "predictions.json").write_text("[]")
    return ["score", "predictions.json", "crowdpose", "--annotations", "truth.json"]


@case("a-pipe-of-boxes")
def _(folder: Path) -> list[str]:
    os.mkfifo(folder / "boxes.json")
    save(folder / "a.png")
    return ["predict", "hrnet-tiny", "a.png", "--dataset", "synthcrowd", "--boxes", "boxes.json"]


@case("a-device-of-predictions")
def _(folder: Path) -> list[str]:
    return scored(folder, "/dev/zero")


@case("a-folder-of-predictions")
def _(folder: Path) -> list[str]:
    (folder / "predictions.json").mkdir()
    return scored(folder)


@case("a-circle-of-links")
def _(folder: Path) -> list[str]:
    (folder / "predictions.json").symlink_to("predictions.json")
    return scored(folder)


@case("a-name-that-is-too-long")
def _(folder: Path) -> list[str]:
    return scored(folder, "n" * 300)


@case("a-name-with-escapes")
def _(folder: Path) -> list[str]:
    return scored(folder, ESCAPES)


@case("gzip-cut-off")
def _(folder: Path) -> list[str]:
    (folder / "predictions.json").write_bytes(gzip.compress(b"[" + b" " * 500 + b"]")[:-9])
    return scored(folder)


def swept(folder: Path, content: bytes) -> list[str]:
    (folder / "suite.toml").write_bytes(content)
    return ["sweep", "suite.toml", "--dry-run"]


@case("a-pipe-of-a-suite")
def _(folder: Path) -> list[str]:
    os.mkfifo(folder / "suite.toml")
    return ["sweep", "suite.toml", "--dry-run"]


@case("a-suite-nested-deeply")
def _(folder: Path) -> list[str]:
    return swept(folder, b"run = " + b"[" * 5000)


@case("a-suite-with-a-long-key")
def _(folder: Path) -> list[str]:
    return swept(folder, b".".join([b"a"] * 100_000) + b" = 1\n")


SUITE = (
    'name = "one"\ndescription = "a suite of one"\n[[run]]\nmethod = "hrnet-tiny"\ndataset = "crowdpose"\n'
)


@case("a-suite-in-utf-16")
def _(folder: Path) -> list[str]:
    return swept(folder, SUITE.encode("utf-16"))


@case("a-suite-with-a-byte-order-mark")
def _(folder: Path) -> list[str]:
    return swept(folder, b"\xef\xbb\xbf" + SUITE.replace("\n", "\r\n").encode())


@case("profiles-nested-deeply")
def _(folder: Path) -> list[str]:
    (folder / "crowdbench.toml").write_text("profile = " + "[" * 5000)
    return ["run", "hrnet-tiny", "crowdpose", "--on", "p"]


@case("a-setting-nested-deeply")
def _(folder: Path) -> list[str]:
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    return ["run", "hrnet-tiny", "crowdpose", "--root", "data", "--set", "nms_threshold=" + "[" * 100_000]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset and a run on it."""
    folder = tmp_path_factory.mktemp("kept")
    report_runs.run(folder / "runs", report_runs.dataset(folder / "data", images=2), "one")
    return folder


_KEPT: list[Path] = []


@pytest.fixture(autouse=True)
def _have_kept(kept: Path) -> None:
    _KEPT[:] = [kept]


def a_run(folder: Path) -> Path:
    """A run of one's own, and its dataset in ``data``."""
    shutil.copytree(_KEPT[0], folder, dirs_exist_ok=True)
    return next(folder.glob("runs/*/*/*")).relative_to(folder)


@case("a-record-that-is-a-pipe")
def _(folder: Path) -> list[str]:
    run = a_run(folder)
    (folder / run / "run.json").unlink()
    os.mkfifo(folder / run / "run.json")
    return ["analyse", str(run), "--root", "data"]


@case("a-record-nested-deeply")
def _(folder: Path) -> list[str]:
    run = a_run(folder)
    (folder / run / "run.json").write_text('{"settings": {"a": ' + "[" * 100_000)
    return ["analyse", str(run), "--root", "data"]


@case("too-many-resamples")
def _(folder: Path) -> list[str]:
    run = str(a_run(folder))
    return ["compare", run, run, "--root", "data", "--resamples", str(10**12)]


@case("pictures-with-odd-names")
def _(folder: Path) -> list[str]:
    save(folder / "in" / "a.png")
    save(folder / "in" / "\udcff.png")
    os.mkfifo(folder / "in" / "pipe.jpg")
    (folder / "in" / "circle.png").symlink_to("circle.png")
    return ["predict", "hrnet-tiny", "in", "--dataset", "synthcrowd", "--boxes", "whole"]


def reported(folder: Path, out: str) -> list[str]:
    return ["report", str(a_run(folder)), "--root", "data", "--pictures", "0", "--out", out]


@case("a-report-on-a-file-of-somebody")
def _(folder: Path) -> list[str]:
    (folder / "thesis.html").write_text("<!DOCTYPE html>\nmine")
    return reported(folder, "thesis.html")


@case("a-report-on-a-record")
def _(folder: Path) -> list[str]:
    return reported(folder, str(a_run(folder) / "run.json"))


@case("a-report-on-a-folder")
def _(folder: Path) -> list[str]:
    return reported(folder, "runs")


@case("a-report-on-a-full-disk")
def _(folder: Path) -> list[str]:
    return reported(folder, "/dev/full")


@case("a-report-into-a-pipe-without-reader")
def _(folder: Path) -> list[str]:
    os.mkfifo(folder / "pipe")
    return reported(folder, "pipe")


@case("a-report-below-a-file")
def _(folder: Path) -> list[str]:
    (folder / "file").write_text("")
    return reported(folder, "file/report.html")


def analysed(folder: Path, *options: str) -> list[str]:
    return ["analyse", str(a_run(folder)), "--root", "data", *options]


@case("an-analysis-on-a-file-of-somebody")
def _(folder: Path) -> list[str]:
    (folder / "notes.json").write_text('{"predictions_sha256": "mine"}')
    return analysed(folder, "--save", "notes.json")


@case("an-analysis-on-a-full-disk")
def _(folder: Path) -> list[str]:
    return analysed(folder, "--save", "/dev/full")


@case("figures-below-a-file")
def _(folder: Path) -> list[str]:
    (folder / "file").write_text("")
    return analysed(folder, "--figures", "file/figures")


@case("a-package-below-a-file")
def _(folder: Path) -> list[str]:
    (folder / "file").write_text("")
    return ["new-method", "my-pose", "--out", "file"]


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = case.check(name, tmp_path, monkeypatch, capsys)
    assert all(c.isprintable() or c == "\n" for c in said)
