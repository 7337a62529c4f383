"""How much of a published split was measured: in words, from counts and names, and on everything that shows it."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.data import coco_files
from support.runs.fake_runs import make_run

from crowdbench import cli, load_dataset
from crowdbench.api.extent import Extent
from crowdbench.coco.dataset import PublishedCounts
from crowdbench.run_store.record import Record, extent_of_run
from crowdbench.run_store.run import Run
from crowdbench.system.files.digests import file_digest
from crowdbench_datasets.crowdpose import CrowdPose
from crowdbench_datasets.synthcrowd import export as writing
from crowdbench_datasets.synthcrowd import recipe
from crowdbench_datasets.synthcrowd.dataset import SynthCrowd


@pytest.mark.parametrize(
    ("extent", "words", "is_whole"),
    [
        (Extent(5000, 5000), "", True),
        (Extent(53, 5000), "53 of 5,000 images", False),
        (Extent(1, 5000), "1 of 5,000 images", False),
        (Extent(10, 5000, is_cut=True, listed=5000), "first 10 of 5,000 images", False),
        (Extent(10, 5000, is_cut=True, listed=53), "first 10 of 5,000 images", False),
        (Extent(5, 5000, "my.json", listed=5), "own annotations my.json (5 images)", False),
        (Extent(1, 5000, "my.json", listed=1), "own annotations my.json (1 image)", False),
        (Extent(5000, 5000, "my.json", listed=5000), "own annotations my.json (5,000 images)", False),
        (
            Extent(2, 5000, "my.json", is_cut=True, listed=5),
            "own annotations my.json (first 2 of 5 images)",
            False,
        ),
        (Extent(200), "", False),
        (Extent(10, is_cut=True, listed=200), "first 10 of 200 images", False),
        (Extent(10, is_cut=True), "first 10 images", False),
    ],
)
def test_an_extent_in_words(extent: Extent, words: str, is_whole: bool) -> None:
    assert (extent.words, extent.is_whole, extent.is_part) == (words, is_whole, bool(words))


def opened(folder: Path, name: str = "json/crowdpose_test.json", **options: Any) -> Extent:
    coco_files.write(folder, name)
    return load_dataset("crowdpose", root=folder, **options).extent()


def test_a_sample_at_the_usual_place_is_a_sample(tmp_path: Path) -> None:
    assert opened(tmp_path).words == "3 of 8,000 images"


def test_a_file_of_another_name_is_somebodys_own(tmp_path: Path) -> None:
    found = opened(tmp_path, "mine.json", annotations=tmp_path / "mine.json")
    assert found.words == "own annotations mine.json (3 images)"


def test_the_file_of_another_split_is_not_this_split(tmp_path: Path) -> None:
    path = tmp_path / "json/crowdpose_val.json"
    found = opened(tmp_path, "json/crowdpose_val.json", annotations=path)
    assert found.words == "own annotations crowdpose_val.json (3 images)"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (PublishedCounts(3), ""),
        (PublishedCounts(3, 3), ""),
        (PublishedCounts(3, 4), "own annotations crowdpose_test.json (3 images)"),
        (PublishedCounts(2), "own annotations crowdpose_test.json (3 images)"),
        (PublishedCounts(), ""),
    ],
)
def test_counts_tell_the_split_from_other_annotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: PublishedCounts, words: str
) -> None:
    monkeypatch.setattr(CrowdPose, "published", {"test": facts})
    found = opened(tmp_path)
    assert found.words == words
    assert found.is_whole == (not words and facts.images is not None)


def test_a_published_file_is_known_by_its_hash_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coco_files.write(tmp_path, "renamed.json")
    files = {file_digest(tmp_path / "renamed.json"): "somebody's page"}
    monkeypatch.setattr(CrowdPose, "published", {"test": PublishedCounts(3, files=files)})
    assert load_dataset("crowdpose", root=tmp_path, annotations=tmp_path / "renamed.json").extent().is_whole


def test_gzipped_annotations_have_the_name_of_what_they_hold(tmp_path: Path) -> None:
    coco_files.write(tmp_path, "x.json")
    path = tmp_path / "crowdpose_test.json.gz"
    path.write_bytes(gzip.compress((tmp_path / "x.json").read_bytes()))
    assert load_dataset("crowdpose", root=tmp_path, annotations=path).extent().words == "3 of 8,000 images"


def test_a_drawn_set_is_the_split_only_by_the_standard_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(recipe.STANDARD_IMAGES, "test", 2)
    monkeypatch.setattr(recipe, "IMAGES_AT_A_LEVEL", 2)

    def drawn(name: str, **options: Any) -> Path:
        made = recipe.Recipe(**{"split": "test", "images": 2, **options})
        writing.generate(made, tmp_path / name, workers=1)
        return writing.annotation_path(made, tmp_path / name)

    assert SynthCrowd.facts("test", drawn("standard")).is_own is False
    assert SynthCrowd.facts("test", drawn("seeded", seed=1)).is_own is True
    level = drawn("level", crowding=0.5)
    assert SynthCrowd.facts("test-crowding-0.5", level).is_own is False
    assert SynthCrowd.facts("test", level).is_own is True
    (tmp_path / "none.json").write_text("[]")
    assert SynthCrowd.facts("test", tmp_path / "none.json").is_own is True


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": 8000}, ""),
        ({"images": 2}, "2 of 8,000 images"),
        ({"images": 10, "complete": False}, "first 10 of 8,000 images"),
        ({"images": 9000}, "own annotations (9,000 images)"),
        ({"dataset": "nobodys", "images": 5}, ""),
        ({"dataset": "nobodys", "images": 5, "complete": False}, "first 5 images"),
    ],
)
def test_records_that_do_not_say_it_are_judged_by_counting(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    assert extent_of_run(make_run(tmp_path, 1, 0.5, **changes).record).words == words


def test_the_record_keeps_the_extent(tmp_path: Path) -> None:
    extent = Extent(2, 8000, "my.json", is_cut=True, listed=5)
    run = make_run(tmp_path, 1, 0.5, extent=extent)
    record: Record = Run.read(run.directory).record
    assert record.extent == extent


@pytest.fixture
def crowdbench(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Gives a command that must succeed, and what it printed."""

    def give(*arguments: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return said.out

    return give


SUITE = """
name = "s"
description = "d"
[[run]]
method = "results"
dataset = "coco"
settings = { boxes = "gt" }
weights = "results.json"
ap = 75.3
"""


@pytest.mark.parametrize(
    ("own", "words"), [(False, "4 of 5,000 images"), (True, "own annotations my.json (4 images)")]
)
def test_everything_that_shows_a_number_says_of_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crowdbench: Callable[..., str], own: bool, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    usual = "data/annotations/person_keypoints_val2017.json"
    truth = coco_files.document(17, 4)
    place = Path("my.json" if own else usual)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(truth))
    Path("data/images/val2017").mkdir(parents=True)
    entries = [
        {k: p[k] for k in ("image_id", "category_id", "keypoints")} | {"score": 1 - n / 8}
        for n, p in enumerate(truth["annotations"])
    ]
    Path("results.json").write_text(json.dumps(entries))
    where = ["--root", "data", *(["--annotations", "my.json"] if own else [])]
    assert words in crowdbench("score", "results.json", "coco", *where)
    scored = json.loads(crowdbench("score", "results.json", "coco", *where, "--json"))
    assert (scored["split"], scored["extent"]["images"], scored["extent"]["of"]) == ("coco val2017", 4, 5000)
    assert words in crowdbench("analyse", "results.json", "--dataset", "coco", *where)
    command = ["run", "results", "coco", *where, "--weights", "results.json", "--set", "boxes=gt"]
    shown = crowdbench(*command)
    assert f"coco val2017, ground-truth boxes, {words}" in shown
    assert shown.count(words) == 2  # title and provenance
    for style in ("markdown", "csv", "json", "latex", "html"):
        board = crowdbench("leaderboard", "--format", style, "--published", "--dataset", "coco")
        assert board.count(words) >= 2, style
    tables = json.loads(crowdbench("leaderboard", "--published", "--json"))
    (measured,) = [table for table in tables if any("run" in row and row["run"] for row in table["rows"])]
    assert [row["provenance"] for row in measured["rows"]] == [words]
    assert crowdbench("leaderboard", "--complete").count("results-unnamed") == 0
    assert crowdbench("leaderboard", "--partial").count("results-unnamed") == 1
    (run,) = Path("runs").glob("*/*/*")
    assert words in crowdbench("analyse", run, *where)
    assert words in crowdbench("compare", run, "results.json", *where, "--resamples", "100")
    crowdbench("report", run, *where, "--out", "page.html", "--pictures", "0")
    page = Path("page.html").read_text("utf-8")
    assert f"coco val2017, {words}" in page
    assert "the scores are not those of coco val2017" in page.casefold()


def test_a_suite_is_not_done_by_runs_of_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crowdbench: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    coco_files.write(Path("data"), "annotations/person_keypoints_val2017.json", "images/val2017", 17)
    Path("results.json").write_text("[]")
    Path("s.toml").write_text(SUITE)
    said = crowdbench("sweep", "s.toml", "--root", "coco=data")
    assert "done on 3 of 5,000 images" in said
    assert "75.3" not in said
    assert "1 run: 1 done, but not on the whole split" in said
