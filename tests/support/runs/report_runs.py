"""Runs on a small dataset of its own, whose predictions are the annotations with faults put in."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

import crowdbench
from crowdbench.run_store.record import Protocol, Record, Weights
from crowdbench.run_store.run import Run
from crowdbench.system.files.digests import file_digest

WIDTH, HEIGHT, PERSONS, KEYPOINTS = 320, 240, 3, 14

Fault = Callable[[np.ndarray, int, int], np.ndarray | None]
"""Takes a person's ``(14, 3)`` keypoints, the image's number and the person's; gives the prediction, or None."""


def dataset(root: Path, images: int = 12, names: dict[int, str] | None = None) -> Path:
    """A dataset in CrowdPose's layout; image n is called ``<n>.jpg`` unless `names` says otherwise.

    A name with a slash or one that no file system knows gets no file.
    """
    rng = np.random.default_rng(0)
    entries, persons = [], []
    (root / "images").mkdir(parents=True)
    for image in range(images):
        name = (names or {}).get(image, f"{image:06d}.jpg")
        index = round(0.99 * image / images, 2)
        entries.append(
            {"id": image, "file_name": name, "width": WIDTH, "height": HEIGHT, "crowdIndex": index}
        )
        if "/" not in name:
            picture = np.full((HEIGHT, WIDTH, 3), (30 + 10 * image, 120, 90), np.uint8)
            cv2.imwrite(str(root / "images" / name), picture)
        for person in range(PERSONS):
            x, y = 20 + 100 * person, 40
            points = np.c_[rng.uniform(x, x + 60, KEYPOINTS), rng.uniform(y, y + 150, KEYPOINTS)]
            persons.append(
                {
                    "id": 100 * image + person,
                    "image_id": image,
                    "category_id": 1,
                    "bbox": [x, y, 60, 150],
                    "iscrowd": 0,
                    "num_keypoints": KEYPOINTS,
                    "keypoints": np.c_[points, np.full(KEYPOINTS, 2)].round(1).ravel().tolist(),
                }
            )
    content = {"images": entries, "annotations": persons, "categories": [{"id": 1, "name": "person"}]}
    (root / "json").mkdir()
    (root / "json" / "crowdpose_test.json").write_text(json.dumps(content))
    return root


def run(
    out: Path,
    root: Path,
    method: str = "perfect",
    fault: Fault = lambda keypoints, image, person: keypoints,
    boxes: str = "gt",
    folder: str | None = None,
    **changes: Any,
) -> Run:
    """A finished run on `dataset`.

    Args:
        out: the folder of runs.
        root: the dataset's.
        method: its name.
        fault: what is wrong with it.
        boxes: where its persons come from.
        folder: named so if the method's name is not for folders.
        **changes: other values of the record.
    """
    path = root / "json" / "crowdpose_test.json"
    annotations = json.loads(path.read_text())
    predictions = []
    for entry in annotations["annotations"]:
        keypoints = np.reshape(entry["keypoints"], (-1, 3)).astype(float)
        found = fault(keypoints.copy(), entry["image_id"], entry["id"] % 100)
        if found is not None:
            predictions.append(
                {
                    "image_id": entry["image_id"],
                    "category_id": 1,
                    "keypoints": found.ravel().tolist(),
                    "score": 1 - entry["id"] / 10000,
                }
            )
    scores = crowdbench.score(predictions, "crowdpose", annotations=path)
    record = Record(
        id=hashlib.sha256(f"{method} {boxes}".encode("utf-8", "surrogateescape")).hexdigest()[:10],
        method=method,
        method_origin="toys 1.0",
        paradigm="top-down",
        state="done",
        protocol=Protocol(
            "crowdpose", "test", file_digest(path), boxes, len(annotations["images"]), True, True, (64, 48)
        ),
        settings={"input_size": [64, 48]},
        weights=Weights("toy.pth", "c0ffee" * 10 + "beef"),
        precision="fp32",
        device="cpu",
        batch_size=8,
        seed=0,
        versions={"python": "3.11", "torch": "2.6"},
        host={"name": "workbench", "cpus": 2},
        command=["crowdbench", "run", method, "crowdpose"],
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:01:00+00:00",
        timings={"persons_per_s": 12.5, "images_per_s": 4.0, "predict_s": 3.0},
        scores=scores.values,
        scored_by=f"{scores.engine} {scores.engine_version}",
    )
    record = dataclasses.replace(record, **changes)
    made = Run(out / "crowdpose-test" / (folder or method) / record.id, record)
    made.write_predictions([msgspec.Raw(msgspec.json.encode(p)) for p in predictions])
    made.write_record()
    return made
