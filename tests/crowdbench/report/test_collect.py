"""What a report says of real runs, whose faults are known because they were put in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.runs import report_runs

from crowdbench import load_dataset
from crowdbench.errors import InputError, MissingDataError
from crowdbench.report import report_data
from crowdbench.report.data import PageData
from crowdbench.run_store.find import runs_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_runs.dataset(tmp_path_factory.mktemp("data") / "crowdpose")


def swapped_on_image_4(keypoints: np.ndarray, image: int, person: int) -> np.ndarray | None:
    """On image 4 everybody's wrists are their neighbour's; on image 7 the last person is not found."""
    if image == 4:
        keypoints[4:6, 0] += 100 if person < 2 else -100
    return None if (image, person) == (7, 2) else keypoints


def data_of(root: Path, *runs: object, **options: object) -> PageData:
    return report_data(runs, load_dataset("crowdpose", root=root, boxes="none"), **options)  # type: ignore[arg-type]


def test_missed_persons_and_their_images_are_found(root: Path, tmp_path: Path) -> None:
    data = data_of(root, report_runs.run(tmp_path, root, "faulty", swapped_on_image_4), pictures=2)
    (run,) = data.runs
    assert run.errors is not None
    assert (run.errors.false_negatives, run.errors.false_positives) == (1, 0)
    assert run.errors.alone["not found"] > 0
    assert sum(run.errors.keypoints.values()) == 35 * 14
    worst = data.gallery[0]
    assert worst.title == "The worst"
    assert worst.pictures[0].image_id == 7
    assert "2 of 3 found" in worst.pictures[0].panels[0].words
    assert len(worst.pictures[0].panels[0].poses) == 2
    assert len(worst.pictures[0].truth) == 3


def test_the_curves_are_those_of_the_scores(root: Path, tmp_path: Path) -> None:
    run = report_runs.run(tmp_path, root, "faulty", swapped_on_image_4)
    data = data_of(root, run, pictures=0)
    assert run.scores is not None
    for chart, name in zip(data.charts, ("AP50", "AP75"), strict=False):
        (line,) = chart.lines
        recall = np.linspace(0, 1, 101)
        # The step down at the end is drawn, and is no point of the curve.
        known = (
            dict(zip(line.x[:-1], line.y[:-1], strict=True))
            if line.y[-1] == 0
            else dict(zip(line.x, line.y, strict=True))
        )
        assert np.mean([known.get(r, 0.0) for r in recall.tolist()]) == pytest.approx(
            run.scores[name], abs=1e-9
        )


def test_ap_has_its_interval_and_crowding_its_curve(root: Path, tmp_path: Path) -> None:
    big = report_runs.dataset(tmp_path / "big", images=60)
    run = report_runs.run(tmp_path, big, "faulty", swapped_on_image_4)
    data = data_of(big, run, pictures=0)
    low, high = data.runs[0].interval or (0.0, 0.0)
    assert run.scores is not None
    assert low <= run.scores["AP"] <= high
    assert low < high
    crowding = data.charts[-1]
    assert crowding.title == "AP over crowdIndex"
    assert len(crowding.lines[0].x) == len(crowding.x_ticks) == 10


def test_runs_stand_side_by_side_where_they_differ(root: Path, tmp_path: Path) -> None:
    good = report_runs.run(tmp_path, root, "good")
    bad = report_runs.run(tmp_path, root, "bad", swapped_on_image_4)
    data = data_of(root, good, bad, good, pictures=3)
    assert [run.method for run in data.runs] == ["good", "bad"]
    assert data.notes_against_ranking == ()
    differing = data.gallery[0]
    assert {picture.image_id for picture in differing.pictures} == {4, 7}
    assert [panel.run for panel in differing.pictures[0].panels] == [0, 1]


def test_one_person_has_one_number_in_all_panels(root: Path, tmp_path: Path) -> None:
    def backwards(keypoints: np.ndarray, image: int, person: int) -> np.ndarray | None:
        return None if person == 0 else keypoints

    data = data_of(
        root,
        report_runs.run(tmp_path, root, "all"),
        report_runs.run(tmp_path, root, "some", backwards),
        pictures=1,
    )
    first, second = data.gallery[0].pictures[0].panels
    places = {tuple(pose.keypoints[0]): pose.person for pose in first.poses}
    assert len(set(places.values())) == 3
    assert all(places[tuple(pose.keypoints[0])] == pose.person for pose in second.poses)


def test_runs_with_other_boxes_may_be_seen_together_but_not_ranked(root: Path, tmp_path: Path) -> None:
    given = report_runs.run(tmp_path, root, "given")
    finding = report_runs.run(tmp_path, root, "finding", boxes="none")
    (note,) = data_of(root, given, finding, pictures=0).notes_against_ranking
    assert "may not be ranked" in note
    assert "annotated boxes, no boxes" in note


def test_what_all_runs_share_is_said_once(root: Path, tmp_path: Path) -> None:
    given = report_runs.run(tmp_path, root, "given")
    finding = report_runs.run(tmp_path, root, "finding", boxes="none")
    data = data_of(root, given, finding, pictures=0)
    assert "12 of 8,000 images: the scores are not those of crowdpose test." in data.protocol
    assert data.runs[1].protocol == ("The method finds the persons itself.",)


def test_an_image_that_is_gone_is_said_in_its_place(root: Path, tmp_path: Path) -> None:
    from crowdbench.report import report_html

    moved = report_runs.dataset(tmp_path / "data", names={4: "nowhere/4.jpg"})
    data = data_of(moved, report_runs.run(tmp_path, moved, "faulty", swapped_on_image_4), pictures=12)
    page = report_html(data).decode()
    assert page.count("No image:") == 1
    assert page.count("data:image/jpeg") == 11


def test_runs_of_other_images_are_refused(root: Path, tmp_path: Path) -> None:
    run = report_runs.run(tmp_path, root, "one")
    protocol = replace(run.record.protocol, images=6, complete=False)
    other = report_runs.run(tmp_path, root, "other", protocol=protocol)
    with pytest.raises(InputError, match="images 12 and 6"):
        data_of(root, run, other)


def test_a_run_that_is_not_done_is_refused(root: Path, tmp_path: Path) -> None:
    run = report_runs.run(tmp_path, root, "killed", state="interrupted", scores=None)
    with pytest.raises(InputError, match="the run is interrupted"):
        data_of(root, run)


def test_folders_stand_for_the_finished_runs_in_them(root: Path, tmp_path: Path) -> None:
    done = report_runs.run(tmp_path / "runs", root, "done")
    report_runs.run(tmp_path / "runs", root, "killed", state="interrupted")
    half = tmp_path / "runs" / "crowdpose-test" / "done" / "half"
    half.mkdir()
    (half / "run.json").write_text("{")
    places = [done.directory, done.directory.parent, tmp_path / "runs" / "crowdpose-test", tmp_path / "runs"]
    for place in places:
        assert [run.record.method for run in runs_of([place])] == ["done"]
    assert len(runs_of(places)) == 1
    with pytest.raises(MissingDataError, match="no run here"):
        runs_of([root])
