"""Small, sound files to damage."""

import random
from typing import Any

IMAGES, WIDTH, HEIGHT, KEYPOINTS = 6, 640, 480, 17


def annotations(rng: random.Random) -> dict[str, Any]:
    """Twelve persons on six images."""
    images = [
        {"id": 100 + i, "file_name": f"{100 + i:012d}.jpg", "width": WIDTH, "height": HEIGHT}
        for i in range(IMAGES)
    ]
    persons = []
    for number in range(2 * IMAGES):
        x, y, side = rng.uniform(20, 300), rng.uniform(20, 200), rng.uniform(60, 200)
        points = [
            value
            for k in range(KEYPOINTS)
            for value in (
                (0, 0, 0)
                if rng.random() < 0.2
                else (
                    round(x + rng.uniform(0, side), 1),
                    round(y + rng.uniform(0, side), 1),
                    rng.choice((1, 2)),
                )
            )
        ]
        persons.append(
            {
                "id": 1 + number,
                "image_id": 100 + number % IMAGES,
                "category_id": 1,
                "bbox": [round(x, 1), round(y, 1), round(side, 1), round(side, 1)],
                "area": round(side * side * 0.6, 1),
                "iscrowd": 0,
                "num_keypoints": sum(v > 0 for v in points[2::3]),
                "keypoints": points,
            }
        )
    return {"images": images, "annotations": persons, "categories": [{"id": 1, "name": "person"}]}


def predictions(truth: dict[str, Any], rng: random.Random) -> list[dict[str, Any]]:
    """Every person, a few pixels off, and some who are not there."""
    found = []
    for person in truth["annotations"] * 2:
        off = rng.choice((2, 6, 15))
        points = [
            value
            for k in range(KEYPOINTS)
            for value in (
                round(person["bbox"][0] + rng.uniform(0, 30) + 3 * k, 2)
                if not person["keypoints"][3 * k + 2]
                else person["keypoints"][3 * k] + rng.gauss(0, off),
                round(person["bbox"][1] + rng.uniform(0, 30) + 3 * k, 2)
                if not person["keypoints"][3 * k + 2]
                else person["keypoints"][3 * k + 1] + rng.gauss(0, off),
                rng.random(),
            )
        ]
        score = round(max(0.01, 1 - off / 20 + rng.gauss(0, 0.05)), 4)
        found.append({"image_id": person["image_id"], "category_id": 1, "keypoints": points, "score": score})
    return found


def detections(truth: dict[str, Any], rng: random.Random) -> list[dict[str, Any]]:
    """A detector's boxes of these persons."""
    return [
        {
            "image_id": person["image_id"],
            "category_id": 1,
            "bbox": [value + rng.gauss(0, 2) for value in person["bbox"]],
            "score": rng.random(),
        }
        for person in truth["annotations"]
    ]


SUITE = """
name = "mine"
description = "Two methods on two datasets."
source = "nowhere"

[detector.faster]
description = "boxes"
file = "boxes.json"

[[run]]
method = "hrnet-tiny"
dataset = "synthcrowd"
ap = 75.0

[[run]]
method = "i2rnet-tiny"
dataset = "crowdpose"
split = "test"
boxes = "detector:faster"
settings = { flip_test = true }

[[grid]]
methods = ["hrnet-tiny", "i2rnet-tiny"]
datasets = ["synthcrowd"]
seeds = [0, 1, 2]
weights = "none"
"""

PROFILES = """
[profile.lab]
launcher = "slurm"
partition = "gpu"
time = 120
gpus = 2
cpus_per_gpu = 4
memory_per_gpu = "20G"
setup = ["module load cuda"]
"""
