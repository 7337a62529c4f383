"""The scoring sets of this folder: drawn persons and predictions, and what the COCO API makes of them.

Of the whole files, those of CrowdPose are annotations of photographs; here drawn ones have their names and stress
the same rules. COCO's and OCHuman's are drawn in the whole files already and are copied with their numbers.
"""

import contextlib
import copy
import importlib
import io
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from support.data.malformed_files import CASES, Files
from support.reference.scoring_protocols import CROWD

Content = Any
Write = Callable[[Content, Path], None]

# Sets and their files in the whole folder that are drawn there.
COPIED = (
    *("coco_small", "coco_small_ties", "coco_small_conf0", "coco_small_numkp", "coco_gtid0", "coco_oddgt"),
    "ochuman_small",
)
BOUNDS = (0.1, 0.19, 0.2, 0.21, 0.79, 0.8, 0.81)
NAMES = ["AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard"]


def statistics(truth: Content, found: Content) -> tuple[list[float], list[float | None]]:
    """CrowdPose's nine numbers by pycocotools, which equals crowdposetools with 0.53 w h for the area.

    Also the AP of the three crowding levels before rounding; None of a level without a person that counts.
    """
    levels = [[image["id"] for image in truth["images"]]]
    for _, low, high in CROWD.crowding_splits:
        levels.append([image["id"] for image in truth["images"] if low <= image["crowdIndex"] < high])
    found_of = []
    for ids in levels:
        precision, recall = curves(copy.deepcopy(truth), copy.deepcopy(found), ids)
        counted = precision[precision > -1]
        at = [precision, precision[[0]], precision[[5]]]
        ap = [float(p[p > -1].mean()) if (p > -1).any() else -1.0 for p in at]
        found_of.append(
            (ap, [float(r.mean()) for r in (recall, recall[[0]], recall[[5]])], bool(counted.size))
        )
    split = [ap[0] for ap, _, _ in found_of[1:]]
    stats = [*found_of[0][0], *found_of[0][1], *(round(ap, 4) for ap in split)]
    return stats, [ap if known else None for ap, (_, _, known) in zip(split, found_of[1:], strict=True)]


def curves(truth: Content, found: Content, ids: list[int]) -> tuple[Any, Any]:
    """Precision by threshold and recall, and the last recall by threshold."""
    if not ids:
        return np.full((10, 101), -1.0), np.full(10, -1.0)
    for person in truth["annotations"]:
        person["area"] = 0.53 * person["bbox"][2] * person["bbox"][3]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(found), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(CROWD.keypoints.sigmas)
        evaluation.params.imgIds = ids
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, 0, 0], evaluation.eval["recall"][:, 0, 0, 0]


def drawn_by(folder: Path) -> Any:
    """The module that draws persons and predictions, beside the whole files."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("draw")
    finally:
        sys.path.remove(str(folder))


def public(truth: Content) -> Content:
    """Without the true places that only predictions are drawn from."""
    people = [{k: v for k, v in a.items() if not k.startswith("_")} for a in truth["annotations"]]
    return {**truth, "annotations": people}


def like_crowdpose(truth: Content) -> Content:
    """Where groups of persons, whatever their labels, count as persons without keypoints."""
    people = [{**a, "num_keypoints": 0} if a["iscrowd"] else a for a in truth["annotations"]]
    return {**truth, "annotations": people}


def perfect(truth: Content) -> Content:
    """Every person that counts as a prediction."""
    return [
        {
            "image_id": person["image_id"],
            "category_id": 1,
            "keypoints": [v if i % 3 < 2 else 1.0 for i, v in enumerate(person["keypoints"])],
            "score": 1.0,
        }
        for person in truth["annotations"]
        if person["num_keypoints"]
    ]


def without_confidence(found: Content) -> Content:
    """Every third prediction with a confidence of 0 throughout."""
    found = copy.deepcopy(found)
    for one in found[::3]:
        one["keypoints"][2::3] = [0.0] * (len(one["keypoints"]) // 3)
    return found


def with_boxes(found: Content) -> Content:
    """Predictions with boxes, of which some are larger than any area range."""
    found = copy.deepcopy(found)
    for number, one in enumerate(found):
        xs, ys = one["keypoints"][::3], one["keypoints"][1::3]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        one["bbox"] = [0.0, 0.0, 2e5, 2e5] if number % 7 == 3 else [round(v, 2) for v in box]
    return found


def at_the_bounds(truth: Content) -> Content:
    """Crowd indices on and beside the bounds of levels; a third of the images without a person."""
    truth = copy.deepcopy(truth)
    for number, image in enumerate(truth["images"]):
        image["crowdIndex"] = BOUNDS[number % len(BOUNDS)]
    empty = {image["id"] for image in truth["images"][::3]}
    truth["annotations"] = [a for a in truth["annotations"] if a["image_id"] not in empty]
    return truth


def without_hard_images(truth: Content) -> Content:
    """No image with a crowd index of 0.8 or more."""
    truth = copy.deepcopy(truth)
    for image in truth["images"]:
        image["crowdIndex"] = min(image["crowdIndex"], 0.79)
    return truth


def odd(truth: Content) -> Content:
    """With fields that have no effect, crowds with keypoints, and boxes without a size."""
    truth = copy.deepcopy(truth)
    for number, person in enumerate(truth["annotations"]):
        if number % 5 == 0:
            person["ignore"] = 1
        if number % 10 == 3:
            person["iscrowd"] = 1
        if number % 4 == 1:
            person["area"] = 3.0
        if number % 50 == 7:
            person["bbox"][2:] = [0, 0]
    return truth


def numbered_from(truth: Content, first: int) -> Content:
    """The persons with other ids."""
    people = [{**a, "id": number} for number, a in enumerate(truth["annotations"], first)]
    return {**truth, "annotations": people}


def crowd_sets(draw: Any, extended: Path) -> dict[str, tuple[str, Content, str, Content]]:
    """Name: file and content of the ground truth, file and content of the predictions."""
    fifty = like_crowdpose(json.loads((extended / "crowd_gt.json").read_text()))
    of_fifty = json.loads((extended / "crowd_preds.json").read_text())
    # Errors name the best prediction by its place, which is 35 in the whole files.
    best = max(range(len(of_fifty)), key=lambda i: of_fifty[i]["score"])
    of_fifty[35], of_fifty[best] = of_fifty[best], of_fifty[35]

    secret = draw.draw(
        3001, draw.CROWD, 100, sizes=(25, 380), empty_images=2, persons=(1, 8), tight=0.3, crowd_share=0.04
    )
    small, plain = like_crowdpose(public(secret)), draw.predict(3002, secret, draw.CROWD)
    ties = [
        {**one, "score": round(round(one["score"] * 5) / 5, 1)}
        for one in draw.predict(3003, secret, draw.CROWD)
    ]
    flood = draw.predict(3004, secret, draw.CROWD, flood=0.06)
    wrong = draw.predict(3005, secret, draw.CROWD, missing=1.0, false=1.5)
    some = {image["id"] for image in small["images"][::3]}
    sparse = [one for one in plain if one["image_id"] in some]

    first, second = "crowdpose_val_50_gt.json", "crowdpose_val_small_gt.json"
    gone = numbered_from(fifty, 0)
    return {
        "crowd_50": (first, fifty, "crowd_50_preds.json", of_fifty),
        "crowd_small": (second, small, "crowd_small_preds.json", plain),
        "crowd_small_ties": (second, small, "crowd_small_ties_preds.json", ties),
        "crowd_small_flood": (second, small, "crowd_small_flood_preds.json", flood),
        "crowd_small_perfect": (second, small, "crowd_small_perfect_preds.json", perfect(small)),
        "crowd_small_conf0": (second, small, "crowd_small_conf0_preds.json", without_confidence(plain)),
        "crowd_small_bbox": (second, small, "crowd_small_bbox_preds.json", with_boxes(plain)),
        "crowd_small_sparse": (second, small, "crowd_small_sparse_preds.json", sparse),
        "crowd_small_allfp": (second, small, "crowd_small_allfp_preds.json", wrong),
        "crowd_nohard": (
            "crowdpose_nohard_gt.json",
            without_hard_images(fifty),
            "crowd_nohard_preds.json",
            of_fifty,
        ),
        "crowd_edges": ("crowdpose_edges_gt.json", at_the_bounds(fifty), "crowd_edges_preds.json", of_fifty),
        "crowd_oddgt": ("crowdpose_oddgt_gt.json", odd(fifty), "crowd_50_preds.json", of_fifty),
        "crowd_gtid0": ("crowdpose_gtid0_gt.json", gone, "crowd_50_preds.json", of_fifty),
    }


def faults(truth: Content, found: Content, names: Iterable[str]) -> dict[str, Any]:
    """What becomes of sound files with a fault: CrowdPose's numbers, or nothing if the tool stops."""
    by_name, outcomes = {case.name: case for case in CASES}, {}
    for name in names:
        files = Files(copy.deepcopy(truth), copy.deepcopy(found), keypoints=14)
        by_name[name].inject(files)
        try:
            outcomes[name] = {"stats": statistics(files.truth, files.predictions)[0]}
        except Exception as error:
            outcomes[name] = {"raises": type(error).__name__}
    return outcomes


def make(reference: Path, target: Path, write: Write) -> None:
    """Write all sets, and expected.json and robustness.json with the measured numbers."""
    source, extended = reference / "metrics", reference / "metrics_extended"
    draw = drawn_by(extended)
    whole = json.loads((source / "expected.json").read_text())
    expected, sets = {}, crowd_sets(draw, extended)
    for name, (truth_name, truth, predictions_name, predictions) in sets.items():
        stats, split = statistics(numbered_from(truth, 1), predictions)
        expected[name] = {
            **{"protocol": "crowdpose", "gt": truth_name, "preds": predictions_name},
            **{"authority": "pycocotools", "authority_stats": stats, "authority_split_ap_unrounded": split},
        }
        write(truth, target / f"{truth_name}.gz")
        write(predictions, target / f"{predictions_name}.gz")
    kept = ("protocol", "gt", "preds", "authority", "authority_stats")
    for name in COPIED:
        expected[name] = {key: whole[name][key] for key in kept}
        for file in (whole[name]["gt"], whole[name]["preds"]):
            write(json.loads((source / file).read_text()), target / f"{file}.gz")
    write(expected, target / "expected.json.gz")

    measured = json.loads((source / "robustness.json").read_text())["cases"]
    coco = {
        name: {"pycocotools": outcome["pycocotools"]}
        for name, outcome in measured["coco"].items()
        if "pycocotools" in outcome
    }
    _, truth, _, predictions = sets["crowd_50"]
    crowd = {
        name: {"crowdposetools": outcome}
        for name, outcome in faults(truth, predictions, measured["crowdpose"]).items()
    }
    write({"cases": {"crowdpose": crowd, "coco": coco}}, target / "robustness.json.gz")

    large = draw.draw(3011, draw.CROWD, 200, sizes=(25, 380), persons=(1, 8), tight=0.3, crowd_share=0.04)
    write(like_crowdpose(public(large)), target / "crowdpose_val.json.gz")
    large = draw.draw(3012, draw.COCO, 200, sizes=(18, 380), empty_images=3, label_p=(0.2, 0.3))
    write(public(large), target / "coco_full_gt.json.gz")
