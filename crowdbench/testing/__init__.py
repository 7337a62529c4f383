"""Conformance checks for methods and datasets.

`MethodContract` and `DatasetContract` are pytest classes to derive from. `check_method` and `check_dataset`
run the same checks without pytest, as ``crowdbench check`` does. Importing this package imports neither
pytest nor PyTorch.
"""

from crowdbench.testing.contract import DatasetContract, MethodContract
from crowdbench.testing.outcome import CheckResult, Failed, Inapplicable, Outcome, Passed
from crowdbench.testing.run_checks import check_dataset, check_method

__all__ = [
    "CheckResult",
    "DatasetContract",
    "Failed",
    "Inapplicable",
    "MethodContract",
    "Outcome",
    "Passed",
    "check_dataset",
    "check_method",
]
