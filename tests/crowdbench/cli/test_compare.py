"""``crowdbench compare`` as a user meets it."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.data.jittered_truth import jittered

from crowdbench import evaluate, load_dataset, load_method
from crowdbench.run_store.run import Run

Command = Callable[..., Any]


class Bench(NamedTuple):
    """A folder with CrowdPose val (100 images of it), results files and the runs made of them."""

    folder: Path

    @property
    def annotations(self) -> Path:
        return self.folder / "crowdpose" / "json" / "crowdpose_val.json"

    def results(self, name: str, error: float, seed: int = 0) -> Path:
        """Somebody's results file."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(jittered(self.annotations, error, seed)))
        return path

    def run(self, name: str, error: float, seed: int = 0, boxes: str = "gt", limit: int | None = None) -> Run:
        """A run of a system of that name."""
        dataset = load_dataset("crowdpose", split="val", root=self.folder / "crowdpose")
        method = load_method("results", dataset, boxes=boxes, system=name)
        file = self.results(name, error, seed)
        return evaluate(
            method, dataset, weights=file, out=self.folder / "runs", device="cpu", limit=limit, workers=0
        )


@pytest.fixture(scope="module")
def made(goldens: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    bench.annotations.parent.mkdir(parents=True)
    shutil.copy(goldens / "metrics" / "crowdpose_val_small_gt.json", bench.annotations)
    bench.run("sharp", 0.03, seed=1)
    bench.run("blunt", 0.09, seed=2)
    bench.run("keen", 0.031, seed=3)
    bench.run("boxless", 0.03, boxes="none")
    bench.run("partial", 0.03, limit=20)
    return bench


@pytest.fixture
def bench(made: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Where a user stands who gives a command: runs in ./runs, data where datasets are looked for."""
    monkeypatch.chdir(made.folder)
    monkeypatch.setenv("CROWDBENCH_DATA", str(made.folder))
    monkeypatch.setenv("COLUMNS", "200")
    return made


def of(bench: Bench, system: str) -> Path:
    (path,) = (bench.folder / "runs").glob(f"*/results-{system}/*")
    return path


def test_a_better_run_is_said_to_be_better(bench: Bench, crowdbench: Command) -> None:
    said = crowdbench("compare", "results-sharp", "results-blunt")
    assert (said.status, said.err.count("random")) == (0, 0)
    first = said.out.splitlines()
    assert first[0] == "crowdpose val, ground-truth boxes, 100 of 2,000 images"
    assert first[2].split() == [
        *("images", "results-sharp", "results-blunt", "difference", "95", "%", "interval", "p"),
    ]
    assert [line.split()[0:2] for line in first[5:8]] == [["AP", "easy"], ["AP", "medium"], ["AP", "hard"]]
    assert "results-sharp is better than results-blunt by " in said.out
    assert "more than the choice of these 100 images explains." in said.out
    assert said.out.rstrip().endswith("Paired bootstrap: 1000 draws of all images, seed 0.")


def test_runs_that_hardly_differ_allow_no_conclusion(bench: Bench, crowdbench: Command) -> None:
    said = crowdbench("compare", "results-sharp", "results-keen", "--json")
    found = json.loads(said.out)
    result = found["overall"]["result"]
    assert result["low"] < 0 < result["high"]
    assert result["p"] > 0.05
    assert found["conclusion"].startswith("Nothing may be concluded: ")


def test_a_run_beside_itself_has_no_difference_and_p_1(bench: Bench, crowdbench: Command) -> None:
    said = crowdbench("compare", "results-sharp", of(bench, "sharp"), "--json")
    found = json.loads(said.out)
    assert (found["first"], found["second"]) == ("results-sharp (first)", "results-sharp (second)")
    for part in (found["overall"], *found["levels"].values()):
        assert (part["result"]["difference"], part["result"]["p"]) == (0, 1)
    assert "the same AP on every choice of images" in found["conclusion"]
    assert "Both have the same predictions, to the byte." in found["notes"]


def test_the_scores_are_those_of_the_records(bench: Bench, crowdbench: Command) -> None:
    found = json.loads(crowdbench("compare", "results-sharp", "results-blunt", "--json").out)
    for side, system in (("first", "sharp"), ("second", "blunt")):
        scores = Run.read(of(bench, system)).scores
        assert scores is not None
        assert found["overall"]["result"][side] == pytest.approx(scores["AP"], abs=1e-9)
        for level in ("easy", "medium", "hard"):
            ap = found["levels"][level]["result"][side]
            assert ap == pytest.approx(scores[f"AP_{level}"], abs=1e-4)
    assert found["overall"]["images"] == sum(part["images"] for part in found["levels"].values()) == 100
    assert found["overall"]["persons"] == sum(part["persons"] for part in found["levels"].values())


def test_the_order_changes_signs_and_nothing_else(bench: Bench, crowdbench: Command) -> None:
    one = json.loads(crowdbench("compare", "results-sharp", "results-keen", "--json").out)
    other = json.loads(crowdbench("compare", "results-keen", "results-sharp", "--json").out)
    parts = [(one["overall"], other["overall"])]
    parts += [(one["levels"][level], other["levels"][level]) for level in one["levels"]]
    for mine, theirs in ((mine["result"], theirs["result"]) for mine, theirs in parts):
        assert (mine["difference"], mine["low"], mine["high"], mine["p"]) == (
            *(-theirs["difference"], -theirs["high"], -theirs["low"], theirs["p"]),
        )
    assert one["conclusion"] == other["conclusion"]


def test_equal_seeds_give_equal_words_and_other_seeds_other_bounds(bench: Bench, crowdbench: Command) -> None:
    arguments = ("compare", "results-sharp", "results-keen", "--resamples", 200, "--json", "--seed")
    assert crowdbench(*arguments, 1).out == crowdbench(*arguments, 1).out
    one, other = (json.loads(crowdbench(*arguments, seed).out) for seed in (1, 2))
    assert (one["seed"], one["resamples"]) == (1, 200)
    assert one["overall"]["result"]["low"] != other["overall"]["result"]["low"]
    assert one["overall"]["result"]["difference"] == other["overall"]["result"]["difference"]


@pytest.mark.parametrize(
    ("system", "difference"),
    [
        pytest.param("boxless", r"boxes: results-sharp ground truth, results-boxless none", id="boxes"),
        pytest.param(
            "partial",
            r"images: results-sharp 100 of 2,000 images, results-partial first 20 of 2,000 images",
            id="images",
        ),
    ],
)
def test_runs_that_were_not_measured_alike_are_refused_and_the_difference_is_named(
    bench: Bench, crowdbench: Command, system: str, difference: str
) -> None:
    for order in (1, -1):
        said = crowdbench("compare", *(["results-sharp", f"results-{system}"][::order]))
        assert (said.status, said.out) == (2, "")
        assert "these runs cannot be compared" in said.err
        if order == 1:
            assert difference in said.err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dataset": "ochuman"}, "dataset: results-sharp crowdpose, other ochuman"),
        ({"split": "test"}, "split: results-sharp val, other test"),
        ({"annotations": "b" * 64}, "annotations: results-sharp SHA-256"),
        (
            {"boxes": "detector:0123456789abcdef"},
            "boxes: results-sharp ground truth, other detector:0123456789",
        ),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_other_data_or_boxes_are_refused(
    bench: Bench, crowdbench: Command, tmp_path: Path, change: dict[str, str], told: str
) -> None:
    run = Run.read(of(bench, "blunt"))
    protocol = dataclasses.replace(run.record.protocol, **change)  # type: ignore[arg-type]
    shutil.copytree(run.directory, tmp_path / "other")
    Run(tmp_path / "other", dataclasses.replace(run.record, method="other", protocol=protocol)).write_record()
    said = crowdbench("compare", "results-sharp", tmp_path / "other")
    assert (said.status, said.out) == (2, "")
    assert told in said.err


def test_a_run_that_is_not_done_is_refused(bench: Bench, crowdbench: Command, tmp_path: Path) -> None:
    run = Run.read(of(bench, "blunt"))
    Run(tmp_path, dataclasses.replace(run.record, state="interrupted")).write_record()
    said = crowdbench("compare", "results-sharp", tmp_path)
    assert said.status == 2
    assert "the run is interrupted, not done" in said.err


def test_results_files_of_anybody_are_compared_with_a_word_about_boxes(
    bench: Bench, crowdbench: Command
) -> None:
    said = crowdbench("compare", "sharp.json", "blunt.json", "--dataset", "crowdpose", "--split", "val")
    assert said.status == 0
    assert "sharp.json is better than blunt.json by " in said.out
    assert said.out.splitlines()[0] == "crowdpose val, 100 of 2,000 images"
    assert "does not state which boxes" in said.err


def test_a_packed_results_file_and_an_annotation_file_need_no_dataset_folder(
    bench: Bench, crowdbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CROWDBENCH_DATA")
    packed = shutil.copy(of(bench, "blunt") / "predictions.json.gz", bench.folder / "blunt.json.gz")
    arguments = ("--dataset", "crowdpose", "--annotations", bench.annotations, "--json")
    found = json.loads(crowdbench("compare", "sharp.json", packed, *arguments).out)
    assert found["second"] == "blunt.json.gz"
    assert found["overall"]["result"]["difference"] > 0


def test_a_file_can_stand_beside_a_run_which_says_what_was_measured(
    bench: Bench, crowdbench: Command
) -> None:
    found = json.loads(crowdbench("compare", "results-sharp", "blunt.json", "--json").out)
    assert (found["dataset"], found["split"], found["boxes"]) == ("crowdpose", "val", None)
    partial = json.loads(crowdbench("compare", "results-partial", "blunt.json", "--json").out)
    assert partial["overall"]["images"] == 20
    said = crowdbench("compare", "results-sharp", "blunt.json", "--dataset", "coco")
    assert said.status == 2
    assert "measured on the dataset crowdpose, not on coco" in said.err


def test_few_images_are_said_to_be_few_and_a_handful_allow_nothing(bench: Bench, crowdbench: Command) -> None:
    said = crowdbench("compare", "results-partial", "blunt.json", "--json")
    notes = json.loads(said.out)["notes"]
    assert any(note.startswith("20 (all), ") and "too narrow" in note for note in notes)
    bench.run("handful-a", 0.01, limit=5)
    bench.run("handful-b", 0.3, limit=5)
    said = crowdbench("compare", "results-handful-a", "results-handful-b")
    assert "Nothing may be concluded: 5 images are too few" in said.out
    assert said.out.splitlines()[4].split()[-2:] == ["-", "-"]


def test_what_is_not_there_is_named(bench: Bench, crowdbench: Command, tmp_path: Path) -> None:
    for given, message in (
        ("nobody", "no such folder or file, and under runs no run of that id, job or method"),
        (tmp_path, "no run here"),
        ("runs", r"runs could be meant. Name one:"),
        ("*", "no such folder or file"),
    ):
        said = crowdbench("compare", "results-sharp", given)
        assert (said.status, said.out) == (2, "")
        assert message in said.err


def test_datasets_without_crowding_levels_are_compared_over_all_images(
    goldens: Path, crowdbench: Command
) -> None:
    folder = goldens / "metrics"
    arguments = ("--dataset", "coco", "--annotations", folder / "coco_small_gt.json", "--json")
    files = (folder / "coco_small_preds.json", folder / "coco_small_ties_preds.json")
    found = json.loads(crowdbench("compare", *files, *arguments).out)
    assert found["levels"] == {}
    assert found["overall"]["result"]["p"] > 0
    assert "crowding" not in found["conclusion"]


def test_files_alone_need_a_dataset(bench: Bench, crowdbench: Command) -> None:
    said = crowdbench("compare", "sharp.json", "blunt.json")
    assert said.status == 2
    assert "--dataset NAME" in said.err


def test_a_run_is_found_by_how_its_id_begins_and_by_its_files(bench: Bench, crowdbench: Command) -> None:
    place = of(bench, "sharp")
    for given in (
        place.name,
        place.name[:6],
        place / "run.json",
        place / "predictions.json.gz",
        place.parent,
    ):
        said = crowdbench("compare", given, "results-blunt", "--resamples", 100, "--json")
        assert said.status == 0, said.err
        assert json.loads(said.out)["first"] == "results-sharp"


def test_two_runs_of_one_method_are_told_apart_by_id(bench: Bench, crowdbench: Command) -> None:
    first = of(bench, "sharp")
    record = dataclasses.replace(Run.read(first).record, id="abcdef0123")
    other = first.parent / "abcdef0123"
    shutil.copytree(first, other)
    Run(other, record).write_record()
    try:
        found = json.loads(crowdbench("compare", first, other, "--resamples", 100, "--json").out)
    finally:
        shutil.rmtree(other)
    assert (found["first"], found["second"]) == (f"results-sharp {first.name}", "results-sharp abcdef0123")


def test_too_few_draws_are_refused(bench: Bench, crowdbench: Command) -> None:
    said = crowdbench("compare", "results-sharp", "results-blunt", "--resamples", 20)
    assert said.status == 2
    assert "resamples must be at least 100" in said.err


def test_help_of_the_command_loads_nothing_heavy() -> None:
    code = (
        "import sys; from crowdbench.cli import cli; "
        "cli.main(['compare', '--help'], standalone_mode=False); "
        "sys.exit(bool({'torch', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
