"""The progress of a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationProgress:
    """How far a run is; given to the caller after every batch. With several processes an estimate."""

    images: int
    of: int
    persons: int
