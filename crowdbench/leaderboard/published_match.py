"""Find the published result to compare a run with: the same method under the same protocol."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from crowdbench.api.boxes import DETECTOR
from crowdbench.errors import SettingsError
from crowdbench.leaderboard.published import PublishedResult
from crowdbench.run_store.record import Protocol, Record, extent_of_run

# How records and sources name the same kind of method.
_KINDS = {"bottom-up": "bottom-up", "single-stage": "one-stage", "gt-box": "top-down", "detector": "top-down"}


@dataclass(frozen=True)
class DetectorAliases:
    """The user's names for detector files: published detectors by the file's hash, or a prefix of it."""

    detectors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, pairs: Iterable[str], published: Iterable[PublishedResult]) -> "DetectorAliases":
        """Parse ``--detector`` options.

        Args:
            pairs: ``<hash>=<name>``; the name may be a shell pattern that means one published detector.
            published: rows that name detectors.

        Raises:
            SettingsError: a value is not a pair, or its name does not match exactly one published detector.
        """
        known = sorted({row.detector for row in published if row.protocol == "detector" and row.detector})
        detectors = {}
        for pair in pairs:
            digest, found, pattern = pair.partition("=")
            digest = digest.removeprefix(DETECTOR)
            if not found or not digest or not pattern:
                raise SettingsError(
                    f"--detector {pair!r} is not HASH=NAME, as in --detector 0a1b2c3d='*AP_H_56*'."
                )
            meant = [name for name in known if name == pattern or fnmatchcase(name, pattern)]
            if len(meant) != 1:
                raise SettingsError(
                    f"--detector {pair!r}: {len(meant) or 'no'} published detectors are called {pattern!r}.\n"
                    "Known:\n" + "\n".join(f"  {name}" for name in known)
                )
            detectors[digest] = meant[0]
        return cls(detectors)

    def claimed(self, boxes: str) -> str | None:
        """The detector name given for a record's boxes; None if there is none."""
        if not boxes.startswith(DETECTOR):
            return None
        # With a minimum score they are other boxes: the name must be given for that score, too.
        digest, floored, floor = boxes.removeprefix(DETECTOR).partition(">=")
        if floored:
            return self.detectors.get(f"{digest}>={floor}")
        return next((name for start, name in self.detectors.items() if digest.startswith(start)), None)

    def agree(self, boxes: str, source: str | None) -> bool:
        """Whether boxes of a record and those of a published row are the same.

        Args:
            boxes: as records name them.
            source: as `box_source_of` has it.
        """
        if source in ("gt", "none"):
            return boxes == source
        claimed = self.claimed(boxes)
        return claimed is not None and source == f"{DETECTOR}{claimed}"


NO_CLAIMS = DetectorAliases()


def box_source_of(row: PublishedResult) -> str | None:
    """The source of a published row's boxes, which rows ranked together share; None if it is not stated."""
    if row.protocol == "gt-box":
        return "gt"
    if row.protocol in ("bottom-up", "single-stage"):
        return "none"
    if row.protocol == "unstated" or row.detector is None:
        return None
    return f"{row.protocol}:{row.detector}"


def paradigm_of(row: PublishedResult) -> str:
    """The paradigm of a published row, in the words of records where they have one."""
    return _KINDS.get(row.protocol, row.protocol)


def covers_published_split(record: Record) -> bool:
    """Whether a run covers all images and keypoints of the published split."""
    return extent_of_run(record).is_whole and record.protocol.keypoints is None


def find_published(
    record: Record, published: Sequence[PublishedResult], claims: DetectorAliases = NO_CLAIMS
) -> PublishedResult | None:
    """Find the published row of the run's method under the run's protocol.

    Everything that both state must agree: split, boxes, images, input, training data and test-time averaging;
    the settings must be the published ones. Returns None if several sources give different AP.

    Args:
        record: of a run.
        published: rows to look among.
        claims: what is said of detectors.
    """
    candidates = [
        row
        for row in published
        if row.name == record.method and row.ap is not None and _same_protocol(record, row, claims)
    ]
    if not candidates or not covers_published_split(record):
        return None
    return candidates[0] if len({row.ap for row in candidates}) == 1 else None


def _same_protocol(record: Record, row: PublishedResult, claims: DetectorAliases) -> bool:
    protocol = record.protocol
    size = "x".join(map(str, protocol.input_size)) if protocol.input_size else None
    others = [
        name
        for name, value in protocol.changed_settings.items()
        # The input size is compared below if the row states it.
        if not (name == "input_size" and row.input is not None)
    ]
    return (
        (protocol.dataset, protocol.split) == (row.dataset, row.split)
        and claims.agree(protocol.boxes, box_source_of(row))
        and not others
        and (row.input is None or size is None or row.input == size)
        and (row.train is None or row.train == protocol.training_data)
        and (row.tta is None or protocol.flip_test is None or row.tta == test_time_averaging(protocol))
        and protocol.training_data != "none"
    )


def test_time_averaging(protocol: Protocol) -> str | None:
    """What a run averages at test time, as published rows name it; None if the method has no such setting."""
    return None if protocol.flip_test is None else "flip" if protocol.flip_test else "none"
