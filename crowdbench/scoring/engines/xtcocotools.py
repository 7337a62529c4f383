"""xtcocotools (jin-s13/xtcocoapi): the tool of MMPose."""

from collections.abc import Callable

import numpy as np

from crowdbench.api.types import IntArray
from crowdbench.scoring.engines.base import CurveEngine, quiet
from crowdbench.scoring.engines.coco_format import ground_truth, results
from crowdbench.scoring.engines.pycocotools import loaded, with_image_ids
from crowdbench.scoring.problem import Problem
from crowdbench.scoring.statistics import Curves


class Xtcocotools(CurveEngine):
    """Differs from the official tools in two rules, both corrected here.

    It drops predictions whose confidences are all 0; OKS ignores confidences, so all get 1. Its mode
    "keypoints" recounts labelled keypoints; "keypoints_crowd" reads the field num_keypoints.
    """

    name = "xtcocotools"
    install = (
        "pip install cython setuptools numpy && "
        "pip install --no-binary xtcocotools --no-build-isolation xtcocotools==1.14.3"
    )

    def prepare(self, problem: Problem) -> Callable[[IntArray], Curves]:
        """See `CurveEngine`."""
        coco, cocoeval = self.load("xtcocotools.coco"), self.load("xtcocotools.cocoeval")
        predictions = results(problem)
        for prediction in predictions:
            keypoints = prediction["keypoints"].copy()
            keypoints[2::3] = [1.0] * problem.protocol.keypoints.count
            prediction["keypoints"] = keypoints
        with quiet():
            truth, found = loaded(coco, ground_truth(problem), predictions)
            sigmas = np.array(problem.protocol.keypoints.sigmas)
            evaluation = cocoeval.COCOeval(truth, found, "keypoints_crowd", sigmas=sigmas, use_area=True)
        return with_image_ids(evaluation, problem)
