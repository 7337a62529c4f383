"""A request, as names and paths independent of the machine.

It can be stored as JSON and executed elsewhere; it contains everything that the command line said.
Requests for the same thing have the same key.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from crowdbench.api.types import Precision
from crowdbench.errors import DataError
from crowdbench.evaluation.options import EvaluationOptions

# How something is done, not what: asked in another way it is still the same.
_NOT_FINGERPRINTED = frozenset({"command", "workers", "save_every_s", "again", "trackers", "out"})

_WORDS = frozenset({"gt", "none", "published"})


@dataclass(frozen=True)
class EvaluationRequest(EvaluationOptions):
    """A requested evaluation: what `crowdbench.evaluate` gets, by names and paths.

    `crowding` is the level at which the dataset draws its scenes (`Dataset.at_crowding`), `box_score` the
    minimum score of detected boxes, `keypoints` an argument of `crowdbench.scoring.common_keypoints`.
    """

    kind: ClassVar[Literal["run", "train"]] = "run"

    method: str
    dataset: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    split: str | None = None
    root: Path | None = None
    boxes: str = "gt"
    box_score: float | None = None
    keypoints: str = "all"
    annotations: Path | None = None
    crowding: float | None = None
    weights: str = "published"
    out: Path = Path("runs")
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingRequest:
    """A requested training; most fields are those of `crowdbench.training.train`.

    Attributes:
        validate_on: the split to choose weights by, ``"none"``, or None for the recipe's.
        select_on_test: choose weights by the split that is reported.
        recipe: values that replace the published ones.
        evaluated: then run the weights on the split that is reported.
    """

    kind: ClassVar[Literal["run", "train"]] = "train"

    method: str
    dataset: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    split: str | None = None
    root: Path | None = None
    validate_on: str | None = None
    select_on_test: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = None
    out: Path = Path("runs")
    limit: int | None = None
    workers: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: Precision = "fp32"
    compiled: bool = False
    deterministic: bool = False
    save_every_s: float = 600.0
    trackers: tuple[str, ...] = ()
    evaluated: bool = True
    command: tuple[str, ...] = ()


Request = EvaluationRequest | TrainingRequest
_CLASSES: dict[str, type[EvaluationRequest] | type[TrainingRequest]] = {
    cls.kind: cls for cls in (EvaluationRequest, TrainingRequest)
}


def encode(request: Request) -> dict[str, Any]:
    """A request as JSON values."""
    encoded = msgspec.to_builtins(request, enc_hook=_encode_path)
    return {"kind": request.kind, **encoded}


def decode(encoded: Mapping[str, Any]) -> Request:
    """Decode what `encode` returns; raises DataError."""
    values = dict(encoded)
    kind = values.pop("kind", None)
    if kind not in _CLASSES:
        raise DataError(f"no request is of the kind {kind!r}; another version of crowdbench wrote it.")
    try:
        return msgspec.convert(values, _CLASSES[kind], dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise DataError(f"not a request: {error}.") from error


def with_absolute_paths(request: Request) -> Request:
    """The same request, with paths that mean the same wherever it is carried out."""
    changes: dict[str, Any] = {"out": request.out.absolute()}
    for name in ("root", "annotations"):
        path = getattr(request, name, None)
        if path is not None:
            changes[name] = path.absolute()
    # These may be names as well; what is a file here is meant as one.
    for name in ("boxes", "weights", "start"):
        text = getattr(request, name, None)
        if text and text not in _WORDS and Path(text).is_file():
            changes[name] = str(Path(text).absolute())
    return dataclasses.replace(request, **changes)


def fingerprint(request: Request, **more: object) -> str:
    """Eight hexadecimal digits, equal for requests of the same thing.

    Args:
        request: paths should be absolute (`with_absolute_paths`).
        more: what else makes a difference.
    """
    asked = {name: value for name, value in encode(request).items() if name not in _NOT_FINGERPRINTED}
    encoded = msgspec.json.encode({**asked, **more}, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:8]


def _encode_path(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{value!r} cannot be written down")


def _decode_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"{value!r} is no {kind}")
