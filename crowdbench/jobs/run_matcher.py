"""Decide whether a finished run is the one that a suite asks for."""

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec

from crowdbench.api.boxes import DETECTOR, DetectorBoxes, NoBoxes
from crowdbench.api.dataset import Dataset, dataset_class, load_dataset
from crowdbench.api.load_method import load_method
from crowdbench.errors import CrowdbenchError, DataError
from crowdbench.evaluation.provenance import code_used, digest_of_images
from crowdbench.jobs.preflight import WeightsStatus
from crowdbench.jobs.request import EvaluationRequest
from crowdbench.run_store.record import Protocol, Record
from crowdbench.run_store.run import Run
from crowdbench.system import environment as machine
from crowdbench.system.files.digests import file_digest

log = logging.getLogger("crowdbench")


@dataclass(frozen=True)
class RunMatcher:
    """What a finished run must agree with. What is not on this machine (None) is not compared."""

    request: EvaluationRequest
    boxes: str
    annotations: Path | None
    detections: Path | None
    weights: WeightsStatus | None

    def is_done_by(self, run: Run) -> bool:
        """Whether a run is the one that is asked for; the dearest questions come last."""
        record, protocol, request = run.record, run.record.protocol, self.request
        return (
            record.state == "done"
            and run.predictions_file.is_file()
            and (record.method, protocol.dataset, protocol.split)
            == (request.method, request.dataset, request.split)
            and (record.precision, record.compiled) == (request.precision, request.compiled)
            and self._same_images(protocol)
            and protocol.keypoints is None
            and self._same_weights(record)
            and (record.paradigm != "top-down" or self._same_boxes(protocol))
            and (self.annotations is None or protocol.annotations == file_digest(self.annotations))
            and self._same_making(record)
            and _has_own_predictions(run)
        )

    def _same_images(self, protocol: Protocol) -> bool:
        limit = self.request.limit
        if limit is None:
            return protocol.complete
        return protocol.images == limit or (protocol.complete and protocol.images < limit)

    def _same_weights(self, record: Record) -> bool:
        known = self.weights
        if known is None:
            return False
        if known.path is None:
            return record.weights.sha256 is None and record.seed == self.request.seed
        if known.sha256 is not None:
            return record.weights.sha256 == known.sha256
        if known.path.is_file():
            return record.weights.sha256 == file_digest(known.path)
        return record.weights.source == known.source

    def _same_boxes(self, protocol: Protocol) -> bool:
        if self.boxes in ("gt", "none"):
            return protocol.boxes == self.boxes
        if self.detections is None:
            return protocol.boxes.startswith(DETECTOR)
        return protocol.boxes == DetectorBoxes(self.detections, self.request.box_score).label

    def _same_making(self, record: Record) -> bool:
        """Settings, code, versions and images; what `crowdbench.evaluate` would compute anew is not done."""
        request = self.request
        # The record has all settings, the request only those that differ from the published ones.
        try:
            method = load_method(request.method, request.dataset, **request.settings)
            dataset = dataset_class(request.dataset)
        except CrowdbenchError as error:
            log.debug("%s: %s", request.method, error)
            return False
        code = {name: found.digest for name, found in code_used(method, dataset).items()}
        # JSON has no tuples.
        return (
            bool(msgspec.json.decode(msgspec.json.encode(method.settings)) == record.settings)
            and code == {name: used.digest for name, used in record.code.items()}
            and machine.versions(method.tracked_packages).items() <= record.versions.items()
            and (not method.reads_images or self._same_pictures(record))
        )

    def _same_pictures(self, record: Record) -> bool:
        if self.annotations is None:
            return True
        request = self.request
        try:
            dataset = _opened(request.dataset, request.split, request.root, file_digest(self.annotations))
            return record.images == digest_of_images(dataset, record.protocol.images)
        except CrowdbenchError as error:
            log.debug("%s: %s", self.annotations, error)
            return False


def is_made_of_what_is_here(run: Run, request: EvaluationRequest) -> bool:
    """Whether a finished run was made with the present code and images, or that is unknown.

    It is unknown without data on this machine, and for runs of versions that kept no digests.
    """
    record = run.record
    if not record.code:
        return True
    try:
        method = load_method(request.method, request.dataset, **request.settings)
        dataset = dataset_class(request.dataset)
        code = {name: found.digest for name, found in code_used(method, dataset).items()}
        if code != {name: used.digest for name, used in record.code.items()}:
            return False
        if not method.reads_images or request.crowding is not None or request.annotations is not None:
            return True
        opened = _opened(request.dataset, request.split, request.root, record.protocol.annotations)
        return record.images == digest_of_images(opened, record.protocol.images)
    except CrowdbenchError as error:
        log.debug("%s: %s", run.directory, error)
        return True


def _has_own_predictions(run: Run) -> bool:
    try:
        run.own_predictions()
    except DataError:
        return False
    return True


@lru_cache(maxsize=8)
def _opened(name: str, split: str | None, root: Path | None, annotations: str) -> Dataset:
    """A split whose annotations have a digest; opened once for all runs of a suite."""
    return load_dataset(name, split=split, root=root, boxes=NoBoxes())
