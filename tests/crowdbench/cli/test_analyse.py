"""``crowdbench analyse`` as a user meets it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.runs.analysed_runs import crowdpose_root, made_run

from crowdbench.run_store.run import Run


@pytest.fixture
def root(tmp_path: Path, goldens: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROWDBENCH_DATA", str(tmp_path / "data"))
    return crowdpose_root(tmp_path, goldens)


@pytest.fixture
def run(tmp_path: Path, root: Path, goldens: Path) -> Run:
    return made_run(tmp_path, root, goldens / "metrics" / "crowd_small_preds.json")


@pytest.fixture
def other(tmp_path: Path, root: Path, goldens: Path) -> Run:
    predictions = goldens / "metrics" / "crowd_small_perfect_preds.json"
    return made_run(tmp_path, root, predictions, method="perfect", number=2)


def row(text: str, name: str) -> list[str]:
    """The cells of a table's row, behind its name."""
    found = re.search(rf"^{re.escape(name)}  +(.*)$", text, re.MULTILINE)
    assert found, f"no row {name!r} in\n{text}"
    return found[1].split()


def test_a_run_is_shown_with_kinds_keypoints_crowding_and_one_sentence(
    run: Run, crowdbench: Callable[..., Any]
) -> None:
    said = crowdbench("analyse", run.directory)
    assert said.status == 0
    assert said.out.startswith("somebody on crowdpose val, 200 of 2,000 images: AP ")
    whole = json.loads((run.directory / "analysis.json").read_text())["whole"]
    for kind in ("miss", "swap", "inversion", "jitter"):
        count, _, after, gain, in_order = row(said.out, kind)
        assert int(count) == sum(whole["kinds"][kind])
        assert after == f"{100 * whole['alone'][kind]:.1f}"
        assert gain == f"{100 * (whole['alone'][kind] - whole['ap']):+.1f}"
        assert in_order == f"{100 * whole['cumulative'][kind]:.1f}"
    for name in (
        "left_wrist",
        "neck",
        "background",
        "not found",
        "easy",
        "hard",
        "0.1 to 0.2",
        "1.0 and more",
    ):
        row(said.out, name)
    last = said.out.strip().splitlines()[-1]
    assert last.startswith("The largest gain is in ")
    best = max(whole["alone"].values())
    assert f"from {100 * whole['ap']:.1f} to {100 * best:.1f}" in last


def test_json_is_one_object_of_all_but_the_single_predictions(
    run: Run, crowdbench: Callable[..., Any]
) -> None:
    said = crowdbench("analyse", run.directory, "--json")
    printed = json.loads(said.out)
    kept = json.loads((run.directory / "analysis.json").read_text())
    del kept["instances"]
    assert printed == {**kept, "extent": "200 of 2,000 images"}


def test_anybodys_file_is_analysed_by_a_datasets_rules(
    root: Path, tmp_path: Path, goldens: Path, run: Run, crowdbench: Callable[..., Any]
) -> None:
    predictions = goldens / "metrics" / "crowd_small_preds.json"
    options = ["--dataset", "crowdpose", "--json"]
    of_split = crowdbench("analyse", predictions, *options, "--split", "val")
    truth = goldens / "metrics" / "crowdpose_val_small_gt.json"
    of_file = crowdbench("analyse", predictions, *options, "--annotations", truth)
    of_root = crowdbench("analyse", predictions, *options, "--root", root, "--split", "val")
    of_run = crowdbench("analyse", run.directory, "--json")
    wholes = [json.loads(said.out)["whole"] for said in (of_split, of_file, of_root, of_run)]
    assert wholes[1:] == wholes[:-1]
    saved = tmp_path / "saved.json"
    crowdbench("analyse", predictions, *options, "--split", "val", "--save", saved)
    assert json.loads(saved.read_text())["instances"]
    printed = crowdbench("analyse", predictions, *options, "--split", "val", "--save", "-")
    assert printed.out == saved.read_text()


def test_several_runs_stand_side_by_side(
    run: Run, other: Run, tmp_path: Path, crowdbench: Callable[..., Any]
) -> None:
    said = crowdbench("analyse", run.directory, other.directory, "--figures", tmp_path / "figures")
    assert said.status == 0
    assert row(said.out, "% of keypoints") == ["somebody", "perfect"]
    assert row(said.out, "good")[1] == "100.0"
    assert float(row(said.out, "left_wrist")[0]) > float(row(said.out, "left_wrist")[1]) == 0
    assert re.search(r"^somebody: The largest gain", said.out, re.MULTILINE)
    assert re.search(r"^perfect: ", said.out, re.MULTILINE)
    assert len(list((tmp_path / "figures").iterdir())) == 4
    both = json.loads(crowdbench("analyse", run.directory, other.directory, "--json").out)
    assert set(both) == {"somebody", "perfect"}


def test_runs_of_one_method_are_told_apart_by_their_ids(
    run: Run, tmp_path: Path, root: Path, goldens: Path, crowdbench: Callable[..., Any]
) -> None:
    again = made_run(tmp_path, root, goldens / "metrics" / "crowd_small_ties_preds.json", number=3)
    both = json.loads(crowdbench("analyse", run.directory, again.directory, "--json").out)
    assert set(both) == {f"somebody {run.record.id}", f"somebody {again.record.id}"}


def test_a_run_and_a_file_can_be_compared(run: Run, goldens: Path, crowdbench: Callable[..., Any]) -> None:
    predictions = goldens / "metrics" / "crowd_small_preds.json"
    said = crowdbench("analyse", run.directory, predictions, "--dataset", "crowdpose", "--split", "val")
    assert said.status == 0
    assert len(set(row(said.out, "miss"))) == 1


def test_of_runs_on_other_images_it_is_said(
    run: Run, other: Run, tmp_path: Path, goldens: Path, crowdbench: Callable[..., Any]
) -> None:
    assert "Not all of these" not in crowdbench("analyse", run.directory, other.directory).out
    root = crowdpose_root(tmp_path, goldens, "crowdpose_edges_gt.json")
    edges = made_run(tmp_path, root, goldens / "metrics" / "crowd_edges_preds.json", method="edges")
    said = crowdbench("analyse", run.directory, edges.directory)
    assert "Not all of these were measured on the same images" in said.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "Missing argument", id="nothing"),
        pytest.param(["nowhere"], "no such folder or file", id="no such run"),
        pytest.param(["{folder}"], "no run here", id="no run"),
        pytest.param(["{file}"], "--dataset NAME", id="a file of no dataset"),
        pytest.param(["{file}", "--dataset", "crowdpse"], "Did you mean 'crowdpose'", id="unknown dataset"),
        pytest.param(["{run}", "--dataset", "coco"], "is a run on crowdpose val", id="another dataset"),
        pytest.param(["{run}", "{run}"], "named twice", id="the same run twice"),
        pytest.param(["{run}", "{file}", "--save", "x.json"], "--save takes one RUN", id="saving two"),
        pytest.param(["{run}", "--annotations", "{edges}"], "annotations", id="other annotations"),
        pytest.param(["{broken}", "--dataset", "crowdpose", "--split", "val"], "truncated", id="half a file"),
    ],
)
def test_what_cannot_be_analysed_ends_with_exit_status_2(
    arguments: list[str],
    says: str,
    run: Run,
    tmp_path: Path,
    goldens: Path,
    crowdbench: Callable[..., Any],
) -> None:
    metrics = goldens / "metrics"
    (tmp_path / "broken.json").write_bytes((metrics / "crowd_small_preds.json").read_bytes()[:999])
    places = {
        "folder": tmp_path,
        "file": metrics / "crowd_small_preds.json",
        "run": run.directory,
        "edges": metrics / "crowdpose_edges_gt.json",
        "broken": tmp_path / "broken.json",
    }
    said = crowdbench("analyse", *(argument.format(**places) for argument in arguments))
    assert said.status == 2
    assert says in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_matplotlib_is_not_imported_for_tables() -> None:
    modules = "crowdbench.analysis.keypoint_errors.tables, crowdbench.analysis.keypoint_errors.plots"
    code = f"import sys, {modules}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
