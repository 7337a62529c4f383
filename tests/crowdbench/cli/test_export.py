"""``crowdbench export``: a run as the server of its dataset takes it."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.data import coco_files
from support.small_disks import AMPLE, PAGE, Disk, disk

from crowdbench.api.dataset import dataset_class
from crowdbench.scoring.score import score

__all__ = ["disk"]

Command = Callable[..., Any]
RUN = ("run", "results", "coco", "--root", "data", "--workers", "0", "--set", "boxes=none")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A COCO of three images, whose server scores just these, and results with 30 persons on one of them."""
    cls = dataset_class("coco")
    form = replace(cls.server_files["coco-server"], images={"test-dev2017": 3, "val2017": 3})
    monkeypatch.setattr(cls, "server_files", {"coco-server": form})
    coco_files.write(tmp_path / "data", "annotations/person_keypoints_val2017.json", "val2017", keypoints=17)
    truth = json.loads((tmp_path / "data/annotations/person_keypoints_val2017.json").read_text())
    found = [
        {
            "image_id": person["image_id"],
            "category_id": 1,
            "keypoints": [v + 0.12345 * (1 + k % 3) for v in person["keypoints"]],
            "score": 0.5 + (k % 10) / 100,
            "bbox": [1, 2, 3, 4],
        }
        for person in truth["annotations"]
        for k in range(30 if person["image_id"] == 2 else 1)
    ]
    (tmp_path / "found.json").write_text(json.dumps(found))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(archive: Path) -> list[dict[str, Any]]:
    with zipfile.ZipFile(archive) as opened:
        (name,) = opened.namelist()
        assert name == archive.with_suffix(".json").name
        found: list[dict[str, Any]] = json.loads(opened.read(name))
    return found


def test_the_archive_is_what_the_server_wants_and_scores_as_the_run_does(
    folder: Path, crowdbench: Command
) -> None:
    assert crowdbench(*RUN, "--weights", "found.json", "--set", "system=mine").status == 0
    said = crowdbench("export", "results-mine", "--for", "coco-server", "--out", "sent")
    assert said.status == 0, said.err
    assert "10 predictions are left out: the server looks at the best 20 of an image" in said.err
    assert "coordinates are rounded to 3 decimals" in said.err
    archive = folder / "sent" / "person_keypoints_val2017_results-mine_results.zip"
    assert str(archive.relative_to(folder)) in said.out
    entries = content(archive)
    assert len(entries) == 22
    for entry in entries:
        assert list(entry) == ["image_id", "category_id", "keypoints", "score"]
        assert type(entry["image_id"]) is int
        assert entry["category_id"] == 1
        assert len(entry["keypoints"]) == 51
        assert set(entry["keypoints"][2::3]) == {1}
    # Of the 30 persons of the second image, three have each score: those with the lowest are left out, and
    # of equal ones the later.
    assert min(entry["score"] for entry in entries if entry["image_id"] == 2) == 0.53
    truth = folder / "data/annotations/person_keypoints_val2017.json"
    (record,) = folder.glob("runs/*/*/*/run.json")
    of_archive = score(entries, "coco", annotations=truth).values["AP"]
    of_run = json.loads(record.read_text())["scores"]["AP"]
    assert of_archive == pytest.approx(of_run, abs=1e-6)


def test_equal_runs_give_equal_archives_that_may_be_written_again(folder: Path, crowdbench: Command) -> None:
    crowdbench(*RUN, "--weights", "found.json", "--set", "system=mine")
    archive = folder / "person_keypoints_val2017_HRNet.v2_results.zip"
    found = []
    for _ in range(2):
        assert crowdbench("export", "results-mine", "--for", "coco-server", "--name", "HRNet.v2").status == 0
        found.append(archive.read_bytes())
    assert found[0] == found[1]


def test_somebody_elses_archive_is_not_replaced(folder: Path, crowdbench: Command) -> None:
    crowdbench(*RUN, "--weights", "found.json", "--set", "system=mine")
    archive = folder / "person_keypoints_val2017_results-mine_results.zip"
    with zipfile.ZipFile(archive, "w") as other:
        other.writestr("notes.txt", "mine")
    before = archive.read_bytes()
    said = crowdbench("export", "results-mine", "--for", "coco-server")
    assert said.status == 2
    assert "crowdbench did not write it" in said.err
    assert archive.read_bytes() == before
    assert crowdbench("export", "results-mine", "--for", "coco-server", "--force").status == 0
    assert len(content(archive)) == 22


def test_where_the_disk_is_full_or_read_only_a_line_says_so_and_the_same_command_finishes_later(
    folder: Path, crowdbench: Command, disk: Disk
) -> None:
    assert crowdbench(*RUN, "--weights", "found.json", "--set", "system=mine").status == 0
    export = ("export", "results-mine", "--for", "coco-server", "--out", str(disk.folder))
    assert crowdbench(*export).status == 0
    wanted = disk.content()
    for size in (PAGE, 0):  # without any room, and without any writing
        disk.clear()
        if size:
            disk.resize(size)
            (disk.folder / "other").write_bytes(bytes(size))
        else:
            assert disk.freeze()
        said = crowdbench(*export)
        assert said.status == 1
        why = "No space left on device" if size else "Read-only file system"
        assert f"cannot be written ({why})" in said.err
        disk.resize(AMPLE)
        (disk.folder / "other").unlink(missing_ok=True)
        assert not disk.content()
        assert crowdbench(*export).status == 0
        assert disk.content() == wanted
