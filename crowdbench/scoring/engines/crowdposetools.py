"""crowdposetools (Jeff-sjtu/CrowdPose): the authority for its own protocol, and for no other."""

import tempfile
from pathlib import Path

import msgspec

from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.errors import InputError
from crowdbench.scoring.engines.base import Engine, quiet
from crowdbench.scoring.engines.coco_format import ground_truth, results
from crowdbench.scoring.problem import Problem
from crowdbench.scoring.statistics import trivial_statistics

# Positions in the tool's eleven numbers; 3 and 4 are never filled.
_PLACES = {
    "AP": 0,
    "AP50": 1,
    "AP75": 2,
    "AR": 5,
    "AR50": 6,
    "AR75": 7,
    "AP_easy": 8,
    "AP_medium": 9,
    "AP_hard": 10,
}
_SIGMAS = (0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079)


class Crowdposetools(Engine):
    """Has its sigmas, its areas (0.53 times the box) and its splits built in, and rounds the splits' AP."""

    name = "crowdposetools"
    rounds_splits = True
    # It is not on PyPI; names that are gone from numpy and Python are replaced. Its setup imports numpy.
    install = (
        "pip install cython setuptools wheel numpy && "
        "git clone --depth 1 https://github.com/Jeff-sjtu/CrowdPose && "
        "cd CrowdPose/crowdpose-api/PythonAPI && "
        r"sed -i 's/np\.float\b/float/g; s/np\.round(/round(/g; s/\bunicode\b/str/g' crowdposetools/*.py && "
        "pip install --no-build-isolation ."
    )

    def statistics(self, problem: Problem) -> dict[str, float]:
        """See `Engine`; crowding APs have four decimals. Raises InputError for any other protocol."""
        _check(problem.protocol)
        coco, cocoeval = self.load("crowdposetools.coco"), self.load("crowdposetools.cocoeval")
        if not len(problem.scores):  # the tool stops with IndexError
            return trivial_statistics(problem)
        truth = ground_truth(problem)
        assert problem.images.crowd_index is not None  # the protocol has splits
        for image, crowd_index in zip(truth["images"], problem.images.crowd_index.tolist(), strict=True):
            image["crowdIndex"] = crowd_index
        with tempfile.TemporaryDirectory() as folder, quiet():
            # The tool opens the file once more for every split.
            path = Path(folder) / "truth.json"
            path.write_bytes(msgspec.json.encode(truth))
            indexed = coco.COCO(str(path))
            evaluation = cocoeval.COCOeval(indexed, indexed.loadRes(results(problem)), "keypoints")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return {name: float(evaluation.stats[_PLACES[name]]) for name in problem.protocol.statistics}


def _check(protocol: ScoringProtocol) -> None:
    built_in = (
        protocol.box_area_factor == 0.53
        and protocol.keypoints.sigmas == _SIGMAS
        and not protocol.area_ranges
        and [low for _, low, _ in protocol.crowding_splits] == [0, 0.2, 0.8]
        and set(protocol.statistics) <= set(_PLACES)
    )
    if not built_in:
        raise InputError(
            f"crowdposetools scores one protocol only, and {protocol.name} is another.\n"
            "Choose another engine: hotcoco, pycocotools or xtcocotools."
        )
