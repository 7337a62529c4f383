"""Check that the data on disk are what the benchmark expects."""

from crowdbench.datacheck.boxes import check_boxes
from crowdbench.datacheck.check import check_split, check_together, digests
from crowdbench.datacheck.finding import DataIssue, Severity
from crowdbench.datacheck.splits import SplitOnDisk, splits_on_disk

__all__ = [
    "DataIssue",
    "Severity",
    "SplitOnDisk",
    "check_boxes",
    "check_split",
    "check_together",
    "digests",
    "splits_on_disk",
]
