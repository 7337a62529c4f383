"""hotcoco (derekallman/hotcoco): Rust, the default."""

from collections.abc import Callable

import numpy as np

from crowdbench.api.types import IntArray
from crowdbench.scoring.engines.base import CurveEngine
from crowdbench.scoring.engines.coco_format import ground_truth, results
from crowdbench.scoring.problem import Problem
from crowdbench.scoring.statistics import MAX_DETECTIONS, Curves, area_bounds


class Hotcoco(CurveEngine):
    """Exact and fast. It takes an empty list of images for all of them; `CurveEngine` never passes one."""

    name = "hotcoco"
    install = 'pip install "hotcoco>=1.3,<2"'

    def prepare(self, problem: Problem) -> Callable[[IntArray], Curves]:
        """See `CurveEngine`."""
        hotcoco = self.load("hotcoco")
        truth = hotcoco.COCO(ground_truth(problem))
        evaluation = hotcoco.COCOeval(truth, truth.load_res(results(problem)), "keypoints")
        bounds = area_bounds(problem.protocol)
        # Attributes read back as copies: they are assigned whole.
        parameters = evaluation.params
        parameters.kpt_oks_sigmas = list(problem.protocol.keypoints.sigmas)
        parameters.area_rng = [list(bound) for bound in bounds]
        parameters.area_rng_lbl = ["all", *(name for name, _, _ in problem.protocol.area_ranges)]
        parameters.max_dets = [MAX_DETECTIONS]

        def evaluate(images: IntArray) -> Curves:
            parameters.img_ids = images.tolist()
            evaluation.evaluate()
            evaluation.accumulate()
            found = evaluation.eval
            return Curves(
                np.asarray(found["precision"])[:, :, 0, :, 0], np.asarray(found["recall"])[:, 0, :, 0]
            )

        return evaluate
