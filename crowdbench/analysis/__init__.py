"""Error analysis: each keypoint of each matched person is good, jittered, inverted, swapped or missed.

The kinds and rules are those of Ronchi & Perona, "Benchmarking and Error Diagnosis in Multi-Instance
Pose Estimation" (ICCV 2017), for any keypoint set. AP, before and after errors are corrected, comes from the
scoring engine.
"""

from crowdbench.analysis.keypoint_errors.analyse import analyse, analyse_files
from crowdbench.analysis.keypoint_errors.corrections import CORRECTIONS, CUMULATIVE
from crowdbench.analysis.keypoint_errors.error_types import ERRORS, KINDS, LETTERS
from crowdbench.analysis.keypoint_errors.result import Analysis, ErrorSummary, PredictedPerson

__all__ = [
    "CORRECTIONS",
    "CUMULATIVE",
    "ERRORS",
    "KINDS",
    "LETTERS",
    "Analysis",
    "ErrorSummary",
    "PredictedPerson",
    "analyse",
    "analyse_files",
]
