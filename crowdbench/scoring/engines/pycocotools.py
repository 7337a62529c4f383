"""pycocotools (cocodataset/cocoapi): COCO's own tool."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from crowdbench.api.types import IntArray
from crowdbench.scoring.engines.base import CurveEngine, quiet
from crowdbench.scoring.engines.coco_format import ground_truth, results
from crowdbench.scoring.problem import Problem
from crowdbench.scoring.statistics import MAX_DETECTIONS, Curves, area_bounds


class Pycocotools(CurveEngine):
    """The authority for COCO. With a protocol's areas and sigmas it serves any OKS protocol."""

    name = "pycocotools"
    install = 'pip install "pycocotools>=2.0.8"'

    def prepare(self, problem: Problem) -> Callable[[IntArray], Curves]:
        """See `CurveEngine`."""
        coco, cocoeval = self.load("pycocotools.coco"), self.load("pycocotools.cocoeval")
        with quiet():
            truth, found = loaded(coco, ground_truth(problem), results(problem))
            evaluation = cocoeval.COCOeval(truth, found, "keypoints")
        parameters = evaluation.params
        parameters.kpt_oks_sigmas = np.array(problem.protocol.keypoints.sigmas)
        return with_image_ids(evaluation, problem)


def loaded(coco: ModuleType, truth: dict[str, Any], found: list[dict[str, Any]]) -> tuple[Any, Any]:
    """Both sides as the engine's COCO objects, without a file."""
    indexed = coco.COCO()
    indexed.dataset = truth
    indexed.createIndex()
    return indexed, indexed.loadRes(found)


def with_image_ids(evaluation: Any, problem: Problem) -> Callable[[IntArray], Curves]:
    """Set the parameters that the pycocotools family shares, and evaluate by image numbers."""
    parameters = evaluation.params
    parameters.areaRng = [list(bound) for bound in area_bounds(problem.protocol)]
    parameters.areaRngLbl = ["all", *(name for name, _, _ in problem.protocol.area_ranges)]
    parameters.maxDets = [MAX_DETECTIONS]

    def evaluate(images: IntArray) -> Curves:
        parameters.imgIds = images.tolist()
        with quiet():
            evaluation.evaluate()
            evaluation.accumulate()
        return Curves(evaluation.eval["precision"][:, :, 0, :, 0], evaluation.eval["recall"][:, 0, :, 0])

    return evaluate
