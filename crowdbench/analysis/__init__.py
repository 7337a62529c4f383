"""Where the AP is lost: each keypoint of each matched person is good, jittered, inverted, swapped or missed.

The kinds and their rules are those of Ronchi & Perona, "Benchmarking and Error Diagnosis in Multi-Instance
Pose Estimation" (ICCV 2017), for any keypoint set. AP, before and after errors are corrected, comes from the
scoring engine.
"""

from crowdbench.analysis.keypoint_errors.analyse import analyse, analyse_files
from crowdbench.analysis.keypoint_errors.corrections import AFTERWARDS, CUMULATIVE
from crowdbench.analysis.keypoint_errors.error_types import ERRORS, KINDS, LETTERS
from crowdbench.analysis.keypoint_errors.result import Analysis, Part, PredictedPerson

__all__ = [
    "AFTERWARDS",
    "CUMULATIVE",
    "ERRORS",
    "KINDS",
    "LETTERS",
    "Analysis",
    "Part",
    "PredictedPerson",
    "analyse",
    "analyse_files",
]
