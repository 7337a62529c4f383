"""Convert a problem to the dicts that COCO-style engines read."""

from typing import Any

from crowdbench.scoring.problem import Problem


def ground_truth(problem: Problem) -> dict[str, Any]:
    """Images, persons and the one category. Person ids count from 1: to some engines 0 means "no match"."""
    persons = problem.persons
    columns = (
        problem.person_images.tolist(),
        persons.keypoints,
        persons.boxes,
        persons.areas.tolist(),
        persons.num_keypoints.tolist(),
        persons.is_crowd.tolist(),
    )
    return {
        "images": [{"id": number} for number in range(1, len(problem.images.ids) + 1)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": 1,
                "keypoints": keypoints,
                "bbox": box,
                "area": area,
                "num_keypoints": num_keypoints,
                "iscrowd": int(is_crowd),
            }
            for number, (image, keypoints, box, area, num_keypoints, is_crowd) in enumerate(
                zip(*columns, strict=True), start=1
            )
        ],
    }


def results(problem: Problem) -> list[dict[str, Any]]:
    """Predictions in COCO results format, with boxes if the file has them."""
    columns = (problem.prediction_images.tolist(), problem.keypoints, problem.scores.tolist())
    found = [
        {"image_id": image, "category_id": 1, "keypoints": keypoints, "score": score}
        for image, keypoints, score in zip(*columns, strict=True)
    ]
    if problem.boxes is not None:
        for result, box in zip(found, problem.boxes, strict=True):
            result["bbox"] = box
    return found
