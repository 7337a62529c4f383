"""Predictions that could be a method's: the people of an annotation file, with errors of known size."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np


def jittered(
    annotations: Path, error: float, seed: int = 0, missed: float = 0.05, invented: float = 0.1
) -> list[dict[str, Any]]:
    """Predictions in COCO results format.

    Args:
        annotations: the truth, ``.json`` or ``.json.gz``.
        error: the median distance of a keypoint from its place, as a share of the root of the box's area.
        seed: of the errors.
        missed: the share of persons that are not found.
        invented: how many people are found where nobody is, as a share of all.
    """
    data = annotations.read_bytes()
    truth = json.loads(gzip.decompress(data) if annotations.suffix == ".gz" else data)
    rng = np.random.default_rng(seed)
    found = []
    for person in truth["annotations"]:
        if not person["num_keypoints"] or rng.random() < missed:
            continue
        points = np.array(person["keypoints"], dtype=np.float64).reshape(-1, 3)
        size = np.sqrt(person["bbox"][2] * person["bbox"][3])
        spread = error * np.exp(rng.normal(0, 0.7))
        points[:, :2] += rng.normal(0, spread * size, (len(points), 2))
        score = float(1 / (1 + 10 * spread) + rng.normal(0, 0.05))
        found.append(_entry(person["image_id"], points, score))
        if rng.random() < invented:
            points[:, :2] += rng.normal(0, size, 2)
            found.append(_entry(person["image_id"], points, score * float(rng.uniform(0.3, 1))))
    return found


def _entry(image_id: int, points: np.ndarray, score: float) -> dict[str, Any]:
    points[:, 2] = 1
    return {"image_id": image_id, "category_id": 1, "keypoints": points.ravel().tolist(), "score": score}
