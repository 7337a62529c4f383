"""The record of a run: what was computed, with what, and the result."""

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import msgspec

from crowdbench.api.extent import Extent, published_images

State = Literal["running", "done", "failed", "interrupted"]
SCHEMA = 1


@dataclass(frozen=True)
class Protocol:
    """What must agree before two runs may be ranked against each other.

    Attributes:
        dataset, split: what was measured on.
        annotations: SHA-256 of the annotation file.
        boxes: "gt", "detector:<hash>" or "none"; of replayed results also "unknown (<system>)".
        images: how many of the split's images were evaluated, from its start.
        complete: whether that is all images of the annotation file, which may itself be a sample.
        flip_test: whether mirrored copies were averaged in; None where the method has no such setting.
        input_size: height and width of the network's input; None where the method has no such setting.
        training_data: what the weights were trained on; "none" for random weights, None if unknown.
        changed_settings: the method's settings that are not as it is published for this dataset.
        keypoints: those that were scored, where they are not all that the dataset labels.
        made_for: the dataset whose keypoints the method predicts, where it is another.
    """

    dataset: str
    split: str
    annotations: str
    boxes: str
    images: int
    complete: bool
    flip_test: bool | None = None
    input_size: tuple[int, int] | None = None
    training_data: str | None = None
    changed_settings: dict[str, Any] = field(default_factory=dict)
    keypoints: tuple[str, ...] | None = None
    made_for: str | None = None


@dataclass(frozen=True)
class Weights:
    """Where a network's weights came from.

    Attributes:
        source: a published file's name, a URL, a path as given, or "none" for random weights drawn from the
            run's seed.
        sha256: of the file; None for random weights and for methods without a network.
    """

    source: str
    sha256: str | None = None


@dataclass(frozen=True)
class Code:
    """A package or module whose code decides a run's numbers.

    Attributes:
        digest: of its files' names and contents.
        commit: that was checked out; None without git.
        modified: whether it differed from the commit; None if unknown.
    """

    digest: str
    commit: str | None = None
    modified: bool | None = None


@dataclass(frozen=True)
class Written:
    """A file that a run wrote.

    Attributes:
        sha256: of its content.
        bytes: its size.
    """

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Record:
    """All of ``run.json``. Unknown fields are ignored on reading, so that old readers survive new writers.

    Attributes:
        code: whose files decide the numbers, by the name of the package or module; empty in records of
            versions that did not write it.
        images: a digest of the contents of the images; None for methods that look at none.
        environment: variables and switches that can change a number, as far as they are set.
        predictions: the file of predictions as the run wrote it.
        extent: how much of the published split was measured; None in records that do not say it
            (`crowdbench.run_store.record.extent_of_run`).
        doubts: those of the warnings that put the scores themselves in doubt.
    """

    id: str
    method: str
    method_origin: str
    paradigm: str
    state: State
    protocol: Protocol
    settings: dict[str, Any]
    weights: Weights
    precision: str
    device: str
    batch_size: int
    seed: int
    versions: dict[str, str]
    host: dict[str, Any]
    command: list[str]
    started: str
    schema: int = SCHEMA
    compiled: bool = False
    finished: str | None = None
    reason: str | None = None
    corrections: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    scores: dict[str, float] | None = None
    scored_by: str | None = None
    warnings: list[str] = field(default_factory=list)
    code: dict[str, Code] = field(default_factory=dict)
    images: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    predictions: Written | None = None
    extent: Extent | None = None
    doubts: list[str] = field(default_factory=list)


def identity(
    method: str, protocol: Protocol, settings: Any, weights: Weights, execution: dict[str, Any], inputs: str
) -> str:
    """Ten hexadecimal digits that name a run: equal if and only if the predictions must be equal.

    Everything that can change a prediction goes in; paths, hosts and times do not, so that the same command
    finds its own run again wherever it is started. Of the annotation file only what predictions depend on
    goes in: a run whose ground truth is mended is found again, and scored anew.

    Args:
        method: its name.
        protocol, settings, weights: of the run.
        execution: how it is carried out.
        inputs: `crowdbench.Dataset.inputs_digest`, instead of the annotation file's own digest.
    """
    facts = {
        "schema": SCHEMA,
        "method": method,
        "protocol": {**asdict(protocol), "annotations": inputs},
        "settings": settings,
        "weights": weights.sha256 or weights.source,
        "execution": execution,
    }
    return hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()[:10]


def comparable(protocol: Protocol) -> tuple[object, ...]:
    """What two runs must share to stand in one ranking.

    The ground truth must be the same to the byte, over the same images and keypoints, and the boxes must come
    from the same place: a method that is given people cannot be ranked against one that has to find them.
    Input size and other settings are choices of a method; they are shown, not separated.
    """
    return (
        protocol.dataset,
        protocol.split,
        protocol.annotations,
        protocol.boxes,
        protocol.images if not protocol.complete else None,
        protocol.keypoints,
    )


def extent_of_run(record: Record) -> Extent:
    """How much of its split a run measured; of runs that do not say it, by counting."""
    if record.extent is not None:
        return record.extent
    protocol = record.protocol
    of = published_images(protocol.dataset, protocol.split)
    is_other = of is not None and protocol.images > of
    return Extent(protocol.images, of, "" if is_other else None, not protocol.complete)
