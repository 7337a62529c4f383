"""Writes small datasets in COCO's format, for tests that need faults in the right places."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

WIDTH, HEIGHT = 60, 40


def person(identity: int, image_id: int, keypoints: int, x: float = 5, y: float = 5) -> dict[str, Any]:
    points = [v for i in range(keypoints) for v in (x + i % 5 + 1, y + i % 7 + 1, 2)]
    return {
        "id": identity,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [x, y, 20, 30],
        "area": 300,
        "iscrowd": 0,
        "num_keypoints": keypoints,
        "keypoints": points,
    }


def document(keypoints: int, images: int = 3) -> dict[str, Any]:
    return {
        "images": [
            {"id": i, "file_name": f"{i:06d}.jpg", "width": WIDTH, "height": HEIGHT, "crowdIndex": 0.1 * i}
            for i in range(1, images + 1)
        ],
        "annotations": [person(10 + i, i, keypoints) for i in range(1, images + 1)],
        "categories": [{"id": 1, "name": "person"}],
    }


def write(
    root: Path,
    annotations: str,
    images: str = "images",
    keypoints: int = 14,
    change: Callable[[dict[str, Any]], object] = lambda _: None,
) -> Path:
    """A dataset of three images under ``root``; ``change`` damages its annotations before they are written."""
    content = document(keypoints)
    (root / images).mkdir(parents=True)
    for image in content["images"]:
        pixels = np.full((HEIGHT, WIDTH, 3), 40 * image["id"], np.uint8)
        cv2.imwrite(str(root / images / image["file_name"]), pixels)
    change(content)
    path = root / annotations
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return root
