"""What pycocotools itself says of two files, with nothing of crowdbench in between."""

import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

NAMES = (
    *("AP", "AP50", "AP75", "AP_medium_area", "AP_large_area"),
    *("AR", "AR50", "AR75", "AR_medium_area", "AR_large_area"),
)


def official(annotations: Path, predictions: Path) -> dict[str, float] | None:
    """The ten statistics of COCO's keypoints; None where the official code does not take the files."""
    try:
        truth = json.loads(annotations.read_bytes())
        found = json.loads(predictions.read_bytes())
        if not _plain(truth) or not _plain(found):
            return None
        for number, entry in enumerate(truth["annotations"], 1):
            if entry["id"] == 0:  # the official code takes it for "no match": docs/metrics.md
                entry["id"] = 10**9 + number
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            coco = COCO()
            coco.dataset = truth
            coco.createIndex()
            if not found:
                return dict.fromkeys(NAMES, 0.0)
            evaluation = COCOeval(coco, coco.loadRes(found), "keypoints")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
    except Exception:  # the official code answers a malformed file with whatever breaks first
        return None
    return dict(zip(NAMES, map(float, evaluation.stats), strict=True))


def _plain(content: Any) -> bool:
    """Whether there are no NaN and infinities, of which the official code makes numbers by chance."""
    queue = [content]
    while queue:
        value = queue.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return False
        queue.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
    return True
