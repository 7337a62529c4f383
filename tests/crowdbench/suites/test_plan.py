"""A plan says what is done, what is ready and what each run lacks; carrying it out loses nothing to a failure."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.data.coco_files import write
from support.plugins import install_fake_distribution

from crowdbench import plugins
from crowdbench.errors import InputError, SettingsError, UnknownNameError
from crowdbench.jobs.execute import run_evaluation
from crowdbench.jobs.request import EvaluationRequest
from crowdbench.run_store.run import Run
from crowdbench.suites.plan import PlannedRun, plan
from crowdbench.suites.run import run_all as sweep
from crowdbench.suites.suite import Detector, Suite, SuiteRun, load_suite
from crowdbench.weights import Wanted, weights_table

TOY = SuiteRun(method="toy-network", dataset="crowdpose", weights="none", ap=50.0)
DETECTIONS = '[{"image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 30], "score": 0.9}]'


def suite(*runs: SuiteRun) -> Suite:
    detector = Detector(description="boxes", file="dets/boxes.json", origin=("https://boxes.example",))
    return Suite(name="toys", description="runs of toys", runs=runs or (TOY,), detector={"dets": detector})


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with the toy methods, and with nothing in its caches and data folders."""
    methods = {
        "toy-network": "support.methods.toy:ToyNetwork",
        "toy-wrong-count": "support.methods.toy:WrongCount",
    }
    install_fake_distribution(tmp_path / "site", "toys", {"methods": methods})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("CROWDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CROWDBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    plugins.installed.cache_clear()
    yield
    plugins.installed.cache_clear()


@pytest.fixture
def crowdpose(tmp_path: Path) -> Path:
    """CrowdPose's folder, with three images."""
    return write(tmp_path / "data" / "crowdpose", "json/crowdpose_test.json")


def launched(request: EvaluationRequest) -> Run:
    return run_evaluation(request)


def only(cells: list[PlannedRun]) -> PlannedRun:
    (cell,) = cells
    return cell


def lacks(cell: PlannedRun) -> list[str]:
    return [missing.what for missing in cell.missing]


def finished(cell: PlannedRun) -> Run:
    (outcome,) = sweep([cell], launched)
    assert outcome.error is None
    assert outcome.run is not None
    return outcome.run


def test_a_run_with_everything_in_its_place_is_ready(crowdpose: Path) -> None:
    cell = only(plan(suite(), workers=0))
    assert (cell.state, cell.missing) == ("ready", ())
    assert cell.request.split == "test"
    assert (cell.row.ap, cell.request.workers) == (50.0, 0)


def test_missing_annotations_are_named_with_the_places_that_were_looked_at(tmp_path: Path) -> None:
    cell = only(plan(suite()))
    assert (cell.state, lacks(cell)) == ("missing", ["data"])
    assert str(tmp_path / "data" / "crowdpose" / "json" / "crowdpose_test.json") in cell.missing[0].detail


def test_annotations_without_images_are_not_enough(crowdpose: Path) -> None:
    (crowdpose / "images").rename(crowdpose / "pictures")
    cell = only(plan(suite()))
    assert lacks(cell) == ["data"]
    assert "the images are not" in cell.missing[0].detail


def test_a_root_is_the_folder_of_its_dataset_alone(crowdpose: Path, tmp_path: Path) -> None:
    moved = crowdpose.rename(tmp_path / "elsewhere")
    assert only(plan(suite())).state == "missing"
    cell = only(plan(suite(), roots={"crowdpose": moved}))
    assert (cell.state, cell.request.root) == ("ready", moved)
    with pytest.raises(UnknownNameError, match="Did you mean 'crowdpose'"):
        plan(suite(), roots={"crowd-pose": moved})


def test_a_detectors_file_is_looked_for_in_the_datasets_folder(crowdpose: Path) -> None:
    row = SuiteRun(method="toy-network", dataset="crowdpose", weights="none", boxes="detector:dets")
    cell = only(plan(suite(row)))
    assert lacks(cell) == ["boxes"]
    assert str(crowdpose / "dets" / "boxes.json") in cell.missing[0].detail
    assert "https://boxes.example" in cell.missing[0].detail
    (crowdpose / "dets").mkdir()
    (crowdpose / "dets" / "boxes.json").write_text(DETECTIONS)
    cell = only(plan(suite(row)))
    assert (cell.state, cell.request.boxes) == ("ready", str(crowdpose / "dets" / "boxes.json"))


def test_a_detectors_file_may_be_named(crowdpose: Path, tmp_path: Path) -> None:
    row = SuiteRun(method="toy-network", dataset="crowdpose", weights="none", boxes="detector:dets")
    mine = tmp_path / "mine.json"
    assert "mine.json: no such file" in only(plan(suite(row), boxes={"dets": mine})).missing[0].detail
    mine.write_text(DETECTIONS)
    cell = only(plan(suite(row), boxes={"dets": mine}, workers=0))
    assert finished(cell).record.protocol.boxes.startswith("detector:")
    assert only(plan(suite(row), boxes={"dets": mine})).state == "sample"
    mine.write_text(DETECTIONS.replace("0.9", "0.8"))
    assert only(plan(suite(row), boxes={"dets": mine})).state == "ready"
    with pytest.raises(UnknownNameError, match="detector of the suite toys"):
        plan(suite(row), boxes={"det": mine})


def test_weights_that_a_run_fetches_by_itself_are_named_and_do_not_hold_it_up(crowdpose: Path) -> None:
    cell = only(plan(suite(SuiteRun(method="i2rnet-vanilla", dataset="crowdpose"))))
    assert (cell.state, lacks(cell)) == ("fetch", ["weights"])
    entry = weights_table()["i2rnet-vanilla/crowdpose"]
    assert str(entry.url) in cell.missing[0].detail
    assert str(Wanted.of_entry(entry).path) in cell.missing[0].detail


def test_weights_that_only_a_person_can_fetch_hold_a_run_up(crowdpose: Path) -> None:
    cell = only(plan(suite(SuiteRun(method="hrformer-b", dataset="crowdpose"))))
    assert (cell.state, lacks(cell)) == ("missing", ["weights"])
    assert str(weights_table()["hrformer-b/crowdpose"].instructions) in cell.missing[0].detail


def test_weights_in_the_cache_make_a_run_ready(crowdpose: Path) -> None:
    path = Wanted.of_entry(weights_table()["i2rnet-vanilla/crowdpose"]).path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK")
    assert only(plan(suite(SuiteRun(method="i2rnet-vanilla", dataset="crowdpose")))).state == "ready"


def test_weights_that_nobody_published_are_missing(crowdpose: Path) -> None:
    cell = only(plan(suite(SuiteRun(method="toy-network", dataset="crowdpose"))))
    assert "no files of weights are published for toy-network on crowdpose" in cell.missing[0].detail


def test_published_weights_of_two_sizes_are_told_apart_by_the_size_that_is_asked_for() -> None:
    rows = [
        SuiteRun(method="i2rnet-hrformer", dataset="coco", settings={"input_size": size})
        for size in ([256, 192], [384, 288])
    ]
    files = [cell.missing[-1].detail.splitlines()[0] for cell in plan(suite(*rows))]
    assert files[0].endswith("interformer_coco_hrt_192_p2_b12.pth")
    assert files[1].endswith("interformer_coco_hrt_288_p2_b4.pth")


def test_a_method_that_is_not_installed_is_missing(crowdpose: Path) -> None:
    cell = only(plan(suite(SuiteRun(method="toy-netwrok", dataset="crowdpose", weights="none"))))
    assert lacks(cell) == ["method"]
    assert "Did you mean 'toy-network'" in cell.missing[0].detail


def test_a_finished_run_is_done_and_not_repeated(crowdpose: Path) -> None:
    run = finished(only(plan(suite(), workers=0)))
    cell = only(plan(suite(), workers=0))
    assert cell.state == "sample"
    assert cell.run is not None
    assert cell.run.directory == run.directory

    def refuse(_: EvaluationRequest) -> Run:
        raise AssertionError("launched what is done")

    (outcome,) = sweep([cell], refuse)
    assert outcome.run == cell.run
    assert only(plan(suite(), again=True)).state == "ready"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"limit": 2}, id="images"),
        pytest.param({"settings": {"scale": "0.5"}}, id="settings"),
        pytest.param({"seed": 1}, id="random weights"),
        pytest.param({"precision": "bf16"}, id="precision"),
        pytest.param({"out": Path("other")}, id="folder"),
    ],
)
def test_a_run_under_other_terms_is_not_the_one_that_is_asked_for(
    crowdpose: Path, options: dict[str, object]
) -> None:
    finished(only(plan(suite(), workers=0)))
    assert only(plan(suite())).state == "sample"
    assert only(plan(suite(), **options)).state == "ready"  # type: ignore[arg-type]


def test_a_partial_run_does_not_stand_for_the_whole(crowdpose: Path) -> None:
    finished(only(plan(suite(), workers=0, limit=2)))
    assert only(plan(suite(), limit=2)).state == "sample"
    assert only(plan(suite())).state == "ready"


def test_a_run_on_other_annotations_is_not_the_one_that_is_asked_for(crowdpose: Path) -> None:
    finished(only(plan(suite(), workers=0)))
    annotations = crowdpose / "json" / "crowdpose_test.json"
    annotations.write_text(annotations.read_text() + "\n")
    assert only(plan(suite())).state == "ready"


def test_a_run_stays_done_when_its_data_are_gone(crowdpose: Path, tmp_path: Path) -> None:
    finished(only(plan(suite(), workers=0)))
    crowdpose.rename(tmp_path / "gone")
    assert only(plan(suite())).state == "sample"


def test_settings_of_the_suite_and_of_the_user_reach_the_run_and_the_users_win(crowdpose: Path) -> None:
    row = SuiteRun(
        method="toy-network", dataset="crowdpose", weights="none", settings={"input_size": [8, 8], "scale": 2}
    )
    run = finished(only(plan(suite(row), workers=0, settings={"scale": "0.5"})))
    assert run.record.settings == {"scale": 0.5, "flip_test": False, "input_size": (8, 8)}


def test_a_failed_run_does_not_stop_the_others(crowdpose: Path) -> None:
    wrong = SuiteRun(method="toy-network", dataset="crowdpose", weights="none", settings={"scales": 3})
    broken = SuiteRun(method="toy-wrong-count", dataset="crowdpose", weights="none")
    absent = SuiteRun(method="toy-network", dataset="ochuman", weights="none")
    outcomes = list(sweep(plan(suite(wrong, broken, absent, TOY), workers=0), launched))
    assert [outcome.run is not None for outcome in outcomes] == [False, False, False, True]
    assert "no setting of toy-network is called 'scales'" in str(outcomes[0].error)
    assert "returned 13 keypoints" in str(outcomes[1].error)
    assert outcomes[2].error == "missing: data"


def test_a_bug_in_a_method_is_reported_as_one_and_does_not_stop_the_others(
    crowdpose: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def buggy(request: EvaluationRequest) -> Run:
        if "scale" in request.settings:
            raise ZeroDivisionError("in somebody's network")
        return launched(request)

    bug = SuiteRun(method="toy-network", dataset="crowdpose", weights="none", settings={"scale": 0})
    first, second = sweep(plan(suite(bug, TOY), workers=0), buggy)
    assert first.error == "ZeroDivisionError: in somebody's network"
    assert "Traceback" in caplog.text
    assert second.run is not None


def test_an_interrupt_stops_the_sweep(crowdpose: Path) -> None:
    def interrupted(_: EvaluationRequest) -> Run:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(sweep(plan(suite(TOY, TOY)), interrupted))


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("i2rnet-vanilla", 3),
        ("coco", 4),
        ("*/coco", 4),
        ("i2rnet-h*", 4),
        ("*vanilla/crowdpose", 1),
        ("*", 10),
    ],
)
def test_a_pattern_picks_runs_by_method_and_dataset(pattern: str, count: int) -> None:
    assert len(plan(load_suite("i2rnet-paper"), only=pattern)) == count


def test_a_pattern_that_matches_nothing_is_answered_with_what_there_is() -> None:
    with pytest.raises(InputError, match=r"no run .* matches 'coco/\*'.\nRuns: i2rnet-hrformer/coco, "):
        plan(load_suite("i2rnet-paper"), only="coco/*")


def test_a_plan_of_the_paper_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from crowdbench.suites.suite import load_suite\n"
        "from crowdbench.suites.plan import plan\n"
        "cells = plan(load_suite('i2rnet-paper'))\n"
        "print(len(cells), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["10", "False"], done.stderr


def test_errors_of_the_product_keep_their_words(crowdpose: Path) -> None:
    def refusing(_: EvaluationRequest) -> Run:
        raise SettingsError("scale must be positive.")

    (outcome,) = sweep(plan(suite()), refusing)
    assert outcome.error == "scale must be positive."
