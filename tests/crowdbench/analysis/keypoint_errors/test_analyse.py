"""An analysis as a whole: of runs, of files, and of predictions that are odd."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.data.malformed_files import CASES, Files, write
from support.data.planted_errors import read_json
from support.runs.analysed_runs import crowdpose_root, made_run

from crowdbench import load_dataset
from crowdbench.analysis import CORRECTIONS, CUMULATIVE, KINDS, Analysis, analyse, analyse_files
from crowdbench.analysis.keypoint_errors.crowding_bins import max_iou
from crowdbench.analysis.keypoint_errors.pairing import paired
from crowdbench.errors import InputError, MissingDataError
from crowdbench.run_store.run import Run
from crowdbench.scoring.problem import Problem, read_problem
from crowdbench.scoring.score import score_files
from crowdbench_datasets.keypoint_sets import COCO_17
from crowdbench_datasets.scoring_protocols import CROWDPOSE_PROTOCOL, coco_protocol

COCO_PROTOCOL = coco_protocol("coco", COCO_17)
SETS = {
    "crowd_small": ("crowdpose_val_small_gt.json", "crowd_small_preds.json", CROWDPOSE_PROTOCOL),
    "crowd_ties": ("crowdpose_val_small_gt.json", "crowd_small_ties_preds.json", CROWDPOSE_PROTOCOL),
    "crowd_flood": ("crowdpose_val_small_gt.json", "crowd_small_flood_preds.json", CROWDPOSE_PROTOCOL),
    "crowd_bbox": ("crowdpose_val_small_gt.json", "crowd_small_bbox_preds.json", CROWDPOSE_PROTOCOL),
    "crowd_edges": ("crowdpose_edges_gt.json", "crowd_edges_preds.json", CROWDPOSE_PROTOCOL),
    "crowd_nohard": ("crowdpose_nohard_gt.json", "crowd_nohard_preds.json", CROWDPOSE_PROTOCOL),
    "coco_small": ("coco_small_gt.json", "coco_small_preds.json", COCO_PROTOCOL),
    "coco_odd": ("coco_oddgt_gt.json", "coco_oddgt_preds.json", COCO_PROTOCOL),
    "ochuman": ("ochuman_small_gt.json", "ochuman_small_preds.json", COCO_PROTOCOL),
}

BASES = {
    "crowdpose": ("crowdpose_val_50_gt.json", "crowd_50_preds.json", CROWDPOSE_PROTOCOL),
    "coco": ("coco_small_gt.json", "coco_small_preds.json", COCO_PROTOCOL),
}


@pytest.fixture(params=SETS)
def files(request: pytest.FixtureRequest, goldens: Path) -> tuple[Path, Path, Any]:
    truth, predictions, protocol = SETS[request.param]
    return goldens / "metrics" / truth, goldens / "metrics" / predictions, protocol


@pytest.fixture
def small(goldens: Path) -> Analysis:
    truth, predictions, protocol = SETS["crowd_small"]
    return analyse_files(goldens / "metrics" / predictions, goldens / "metrics" / truth, protocol)


@pytest.fixture
def run(tmp_path: Path, goldens: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CROWDBENCH_DATA", str(tmp_path / "data"))
    root = crowdpose_root(tmp_path, goldens)
    return made_run(tmp_path, root, goldens / "metrics" / "crowd_small_preds.json")


def official_pairs(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Person of each prediction at OKS 0.1, and which predictions are among the 20 best, by COCO's own tool."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from crowdbench.scoring.engines.base import quiet
    from crowdbench.scoring.engines.coco_format import ground_truth, results

    with quiet():
        truth = COCO()
        truth.dataset = ground_truth(problem)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results(problem)), "keypoints")
        parameters = evaluation.params
        parameters.kpt_oks_sigmas = np.array(problem.protocol.keypoints.sigmas)
        parameters.iouThrs, parameters.maxDets = np.array([0.1]), [20]
        parameters.areaRng, parameters.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    person, among = np.full(len(problem.scores), -1), np.zeros(len(problem.scores), dtype=bool)
    for image in filter(None, evaluation.evalImgs):
        places = np.array(image["dtIds"], dtype=int) - 1
        person[places] = image["dtMatches"][0].astype(int) - 1
        among[places] = True
    return person, among


def test_predictions_are_matched_as_by_the_official_tool(files: tuple[Path, Path, Any]) -> None:
    problem = read_problem(files[1], files[0], files[2])
    found = paired(problem)
    person, among = official_pairs(problem)
    assert np.array_equal(found.person, person)
    assert np.array_equal(found.takes_part, among)


def test_ap_before_correction_is_the_scorers(files: tuple[Path, Path, Any]) -> None:
    truth, predictions, protocol = files
    analysis, scores = analyse_files(predictions, truth, protocol), score_files(predictions, truth, protocol)
    assert analysis.whole.ap == scores.values["AP"]
    for level in analysis.levels if protocol.crowding_splits else ():
        assert level.ap == scores.unrounded[f"AP_{level.name}"]


def test_parts_make_the_whole_and_corrections_do_what_they_are_named_for(
    files: tuple[Path, Path, Any],
) -> None:
    truth, predictions, protocol = files
    analysis = analyse_files(predictions, truth, protocol)
    whole = analysis.whole
    for parts in (analysis.levels, analysis.bins):
        for name in ("images", "persons", "not_found", "predictions", "background", "ignored", "labelled"):
            assert sum(getattr(part, name) for part in parts) == getattr(whole, name), name
    assert tuple(whole.alone) == CORRECTIONS
    assert tuple(whole.cumulative) == CUMULATIVE
    assert whole.cumulative["miss"] == whole.alone["miss"]
    assert whole.cumulative["jitter"] > whole.ap
    matched = [person for person in analysis.instances if person.outcome == "matched"]
    assert len(matched) == whole.persons - whole.not_found
    assert whole.predictions == len(matched) + whole.background + whole.ignored


def test_instances_tell_of_every_prediction_in_file_order(small: Analysis, goldens: Path) -> None:
    predictions = read_json(goldens / "metrics" / "crowd_small_preds.json")
    truth = {
        a["id"]: a for a in read_json(goldens / "metrics" / "crowdpose_val_small_gt.json")["annotations"]
    }
    assert [(i.image_id, i.score) for i in small.instances] == [
        (p["image_id"], p["score"]) for p in predictions
    ]
    assert {i.outcome for i in small.instances} >= {"matched", "background", "ignored"}
    for instance in small.instances:
        if instance.person is None:
            assert instance.oks is None
            assert instance.outcome in {"background", "surplus"}
            continue
        annotation = truth[instance.person]
        assert annotation["image_id"] == instance.image_id
        assert (annotation["num_keypoints"] > 0) == (instance.outcome == "matched")
        assert instance.oks is not None
        assert 0.1 <= instance.oks <= 1
        if instance.outcome == "matched":
            labelled = [v > 0 for v in annotation["keypoints"][2::3]]
            assert [instance.kind(keypoint) is not None for keypoint in range(14)] == labelled
            assert sum(instance.count(kind) for kind in KINDS) == sum(labelled)


def test_surplus_predictions_are_told_from_background(goldens: Path) -> None:
    truth, predictions, protocol = SETS["crowd_flood"]
    found = analyse_files(goldens / "metrics" / predictions, goldens / "metrics" / truth, protocol)
    per_image: dict[object, int] = {}
    for instance in found.instances:
        if instance.outcome != "surplus":
            per_image[instance.image_id] = per_image.get(instance.image_id, 0) + 1
    assert max(per_image.values()) == 20
    assert len(found.instances) > found.whole.predictions


def test_best_scores_rank_a_good_pose_before_a_bad_one(goldens: Path, tmp_path: Path) -> None:
    truth = read_json(goldens / "metrics" / "crowdpose_val_50_gt.json")
    results = []
    for number, person in enumerate(a for a in truth["annotations"] if a["num_keypoints"] > 0):
        keypoints = [float(value) for value in person["keypoints"]]
        if number % 2:  # a bad pose, of which the method is sure
            keypoints[0::3] = [x + 0.08 * person["bbox"][2] for x in keypoints[0::3]]
        results.append({"image_id": person["image_id"], "category_id": 1, "keypoints": keypoints})
        results[-1]["score"] = 0.9 if number % 2 else 0.1
    (tmp_path / "p.json").write_text(json.dumps(results))
    whole = analyse_files(
        tmp_path / "p.json", goldens / "metrics" / "crowdpose_val_50_gt.json", CROWDPOSE_PROTOCOL
    ).whole
    assert whole.alone["score"] > whole.ap + 0.05
    assert whole.alone["background"] == whole.ap


@pytest.mark.parametrize("name", ["crowd_small", "ochuman"])
def test_without_predictions_all_persons_are_not_found(name: str, goldens: Path, tmp_path: Path) -> None:
    truth, _, protocol = SETS[name]
    (tmp_path / "none.json").write_text("[]")
    found = analyse_files(tmp_path / "none.json", goldens / "metrics" / truth, protocol)
    assert found.whole.ap == 0
    assert found.whole.not_found == found.whole.persons == len(found.not_found)
    assert found.whole.labelled == 0
    assert found.whole.share("miss") is None


def test_without_persons_there_is_nothing_to_gain(goldens: Path, tmp_path: Path) -> None:
    truth = read_json(goldens / "metrics" / "crowdpose_val_50_gt.json")
    truth["annotations"] = []
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    found = analyse_files(
        goldens / "metrics" / "crowd_50_preds.json", tmp_path / "truth.json", CROWDPOSE_PROTOCOL
    )
    assert found.whole.ap == -1
    assert found.whole.background == found.whole.predictions > 0
    assert found.advice == "There is no person to find, so there is nothing to gain."


def test_perfect_predictions_have_nothing_to_gain(goldens: Path, tmp_path: Path) -> None:
    truth = goldens / "metrics" / "crowdpose_val_small_gt.json"
    results = [
        {"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 1.0}
        for a in read_json(truth)["annotations"]
        if a["num_keypoints"] > 0
    ]
    (tmp_path / "perfect.json").write_text(json.dumps(results))
    found = analyse_files(tmp_path / "perfect.json", truth, CROWDPOSE_PROTOCOL)
    assert found.whole.share("good") == 1
    assert found.advice == "Nothing that is corrected alone would raise AP above 100.0."


def test_ids_that_are_strings_stay_what_they_are(goldens: Path, tmp_path: Path) -> None:
    truth = read_json(goldens / "metrics" / "crowdpose_val_50_gt.json")
    predictions = read_json(goldens / "metrics" / "crowd_50_preds.json")
    for record in (*truth["annotations"], *predictions):
        record["image_id"] = f"image {record['image_id']}"
    for image in truth["images"]:
        image["id"] = f"image {image['id']}"
    for annotation in truth["annotations"]:
        annotation["id"] = f"person {annotation['id']}"
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "predictions.json").write_text(json.dumps(predictions))
    found = analyse_files(tmp_path / "predictions.json", tmp_path / "truth.json", CROWDPOSE_PROTOCOL)
    plain = analyse_files(
        goldens / "metrics" / "crowd_50_preds.json",
        goldens / "metrics" / "crowdpose_val_50_gt.json",
        CROWDPOSE_PROTOCOL,
    )
    assert found.whole.kinds == plain.whole.kinds
    assert [i.person for i in found.instances] == [
        None if i.person is None else f"person {i.person}" for i in plain.instances
    ]


@pytest.mark.slow
@pytest.mark.parametrize("rules", BASES)
def test_whatever_can_be_scored_can_be_analysed(rules: str, goldens: Path, tmp_path: Path) -> None:
    truth, predictions, protocol = BASES[rules]
    contents = [(goldens / "metrics" / name).read_text() for name in (truth, predictions)]
    for number, case in enumerate(CASES):
        files = Files(*map(json.loads, contents), keypoints=0)
        case.inject(files)
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = [Path(path) for path in write(files, folder)]
        try:
            ap = score_files(paths[1], paths[0], protocol).values["AP"]
        except InputError:
            with pytest.raises(InputError):
                analyse_files(paths[1], paths[0], protocol)
        else:
            assert analyse_files(paths[1], paths[0], protocol).whole.ap == ap, case.name


@pytest.mark.parametrize("x", [1e200, -1.7e308])
def test_absurd_coordinates_are_analysed_and_corrected(x: float, goldens: Path, tmp_path: Path) -> None:
    predictions = read_json(goldens / "metrics" / "crowd_50_preds.json")
    for prediction in predictions:
        prediction["keypoints"][0] = prediction["keypoints"][1] = x
    (tmp_path / "p.json").write_text(json.dumps(predictions))
    whole = analyse_files(
        tmp_path / "p.json", goldens / "metrics" / "crowdpose_val_50_gt.json", CROWDPOSE_PROTOCOL
    ).whole
    assert whole.kinds["miss"][0] == sum(counts[0] for counts in whole.kinds.values()) > 0
    assert whole.alone["miss"] > whole.ap


def test_max_iou_is_the_greatest_overlap_of_two_boxes_of_an_image(goldens: Path, tmp_path: Path) -> None:
    truth = read_json(goldens / "metrics" / "coco_small_gt.json")
    boxes = {
        0: [[0, 0, 10, 10], [5, 0, 10, 10], [100, 0, 10, 10]],
        1: [[0, 0, 10, 10]],
        2: [[0, 0, 0, 0]] * 2,
    }
    template, images = truth["annotations"][0], truth["images"][:4]
    truth["images"] = images
    truth["annotations"] = [
        {
            **template,
            "id": 10 * number + place + 1,
            "image_id": images[number]["id"],
            "bbox": box,
            "iscrowd": 0,
        }
        for number, of_image in boxes.items()
        for place, box in enumerate(of_image)
    ]
    truth["annotations"].append(
        {
            **truth["annotations"][0],
            "id": 99,
            "bbox": [0, 0, 10, 10],
            "iscrowd": 1,
        }  # a group is not a neighbour
    )
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    problem = read_problem([], tmp_path / "truth.json", COCO_PROTOCOL)
    by_id = dict(zip(problem.images.ids, max_iou(problem).tolist(), strict=True))
    assert [by_id[image["id"]] for image in images] == pytest.approx([1 / 3, 0, 0, 0])


def test_a_runs_analysis_lies_in_its_directory_and_is_taken_from_there(run: Run) -> None:
    found = analyse(run)
    place = run.directory / "analysis.json"
    assert msgspec.json.decode(place.read_bytes(), type=Analysis) == found
    kept = msgspec.structs.replace(found, advice="kept")
    kept.write(place)
    assert analyse(run) == kept


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param({"predictions_sha256": "0" * 64}, id="other predictions"),
        pytest.param({"annotations_sha256": "0" * 64}, id="other annotations"),
        pytest.param({"rules": 0}, id="older rules"),
        pytest.param(None, id="cut off"),
    ],
)
def test_a_stale_analysis_is_not_believed(run: Run, spoil: dict[str, Any] | None) -> None:
    found, place = analyse(run), run.directory / "analysis.json"
    if spoil is None:
        place.write_bytes(place.read_bytes()[:1000])
    else:
        msgspec.structs.replace(found, advice="stale", **spoil).write(place)
    assert analyse(run) == found
    assert msgspec.json.decode(place.read_bytes(), type=Analysis) == found


def test_a_partial_run_is_analysed_on_its_images(
    tmp_path: Path, goldens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROWDBENCH_DATA", str(tmp_path / "data"))
    root = crowdpose_root(tmp_path, goldens)
    dataset = load_dataset("crowdpose", split="val", root=root)
    first = {dataset[index].image_id for index in range(10)}
    predictions = [
        p for p in read_json(goldens / "metrics" / "crowd_small_preds.json") if p["image_id"] in first
    ]
    (tmp_path / "p.json").write_text(json.dumps(predictions))
    found = analyse(made_run(tmp_path, root, tmp_path / "p.json", images=10))
    assert found.whole.images == 10
    assert {instance.image_id for instance in found.instances} <= first


def test_a_run_without_predictions_is_refused(run: Run) -> None:
    run.predictions_file.unlink()
    with pytest.raises(InputError, match="there are no predictions"):
        analyse(run)


def test_other_annotations_than_the_runs_are_refused(run: Run, tmp_path: Path, goldens: Path) -> None:
    crowdpose_root(tmp_path, goldens, "crowdpose_edges_gt.json")
    with pytest.raises(InputError, match="annotations"):
        analyse(run)


def test_a_dataset_that_is_not_there_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CROWDBENCH_DATA", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path / "runs")
    with pytest.raises(MissingDataError, match="crowdpose_val"):
        analyse(run)
