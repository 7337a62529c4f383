"""Filters for runs and published results, with shell patterns."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from crowdbench.leaderboard.published import PublishedResult
from crowdbench.leaderboard.published_match import box_source_of
from crowdbench.run_store.record import extent_of_run
from crowdbench.run_store.run import Run


@dataclass(frozen=True)
class RunFilter:
    """Shell patterns per field. An empty list matches everything; otherwise one match is enough.

    Attributes:
        method, dataset, split: patterns of names.
        boxes: patterns of box sources as in records: ``gt``, ``none``, ``detector:...``.
        complete: True for whole splits, as published results are; False for parts of splits or the user's own
            annotations; None for both.
    """

    method: Sequence[str] = ()
    dataset: Sequence[str] = ()
    split: Sequence[str] = ()
    boxes: Sequence[str] = ()
    complete: bool | None = None

    def matches(self, run: Run) -> bool:
        """Whether a run passes all filters."""
        protocol = run.record.protocol
        return (
            _matches(self.method, run.record.method)
            and _matches(self.dataset, protocol.dataset)
            and _matches(self.split, protocol.split)
            and _matches(self.boxes, protocol.boxes)
            and (self.complete is None or self.complete is not extent_of_run(run.record).is_part)
        )

    def matches_published(self, row: PublishedResult) -> bool:
        """Whether a published result passes; its method may match by published or installed name."""
        return (
            (_matches(self.method, row.method) or (row.name is not None and _matches(self.method, row.name)))
            and _matches(self.dataset, row.dataset)
            and _matches(self.split, row.split)
            and _matches(self.boxes, box_source_of(row) or row.protocol)
            and self.complete is not False
        )


def _matches(patterns: Sequence[str], name: str) -> bool:
    return not patterns or any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)
