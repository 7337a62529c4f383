"""crowdbench: the bench on which crowded-scene human-pose methods are measured.

Everything the command line does is one call away. Names load on first use, so that importing the package
costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crowdbench.api.dataset import Dataset, load_dataset
    from crowdbench.api.load_method import load_method
    from crowdbench.api.method import Method, NetworkMethod
    from crowdbench.api.scores import Scores
    from crowdbench.api.types import Instance, KeypointSet, Pose, Sample
    from crowdbench.errors import CrowdbenchError
    from crowdbench.evaluation.evaluate import evaluate
    from crowdbench.run_store.run import Run
    from crowdbench.run_store.scan import runs
    from crowdbench.scoring.score import score

    __version__: str

_HOMES = {
    "CrowdbenchError": "errors",
    "Dataset": "api.dataset",
    "Instance": "api.types",
    "KeypointSet": "api.types",
    "Method": "api.method",
    "NetworkMethod": "api.method",
    "Pose": "api.types",
    "Run": "run_store.run",
    "Sample": "api.types",
    "Scores": "api.scores",
    "evaluate": "evaluation.evaluate",
    "load_dataset": "api.dataset",
    "load_method": "api.load_method",
    "runs": "run_store.scan",
    "score": "scoring.score",
}

__all__ = [
    "CrowdbenchError",
    "Dataset",
    "Instance",
    "KeypointSet",
    "Method",
    "NetworkMethod",
    "Pose",
    "Run",
    "Sample",
    "Scores",
    "evaluate",
    "load_dataset",
    "load_method",
    "runs",
    "score",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from crowdbench.system.version import package_version

        return package_version()
    if name not in _HOMES:
        raise AttributeError(f"module 'crowdbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"crowdbench.{_HOMES[name]}"), name)
