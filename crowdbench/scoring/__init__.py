"""Scoring: validate → engine → scores."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crowdbench.api.scores import CrossCheck, Scores
    from crowdbench.scoring.engines import ENGINES
    from crowdbench.scoring.score import score, score_files

_HOMES = {
    "CrossCheck": "scores",
    "ENGINES": "engines",
    "Scores": "scores",
    "score": "api",
    "score_files": "api",
}

__all__ = ["ENGINES", "CrossCheck", "Scores", "score", "score_files"]


def __getattr__(name: str) -> Any:
    # Adapters import the protocol from here; they must not pay for the rest.
    if name not in _HOMES:
        raise AttributeError(f"module 'crowdbench.scoring' has no attribute {name!r}")
    return getattr(importlib.import_module(f"crowdbench.scoring.{_HOMES[name]}"), name)
