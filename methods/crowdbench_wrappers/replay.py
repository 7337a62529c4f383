"""Replay a results file as a method, so that any system's output gets records, reports and ranks.

The file is in COCO results format. It does not record where the boxes came from or what the network was
trained on, so the user must state both. They become part of the protocol, so that the run is compared only
with runs of the same protocol.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdbench import Method
from crowdbench.api.types import FloatArray, KeypointSet, Pose, Sample
from crowdbench.errors import PredictionError, SettingsError
from crowdbench.scoring.results_file.image_lookup import ids_of, note_of, require_agreement
from crowdbench.scoring.results_file.image_names import ImageNames
from crowdbench.scoring.results_file.predictions import Predictions, read_predictions

_SYSTEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BOXES = re.compile(r"gt|none|unknown|detector:\S+")


@dataclass(frozen=True)
class ResultsSettings:
    """What a results file does not tell.

    Attributes:
        system: what made the file; the run is called ``results-<system>``.
        boxes: that the system was given: ``gt``, ``none``, ``detector:<which>`` or ``unknown``. Has to be
            said. What is unknown is compared with nothing else.
        training_data: of the system, as in ``"crowdpose trainval"``; None if unknown.
        flip_test: whether mirrored copies were averaged in; None if unknown.
        input_size: (height, width) of the system's input; None if unknown.
    """

    system: str = "unnamed"
    boxes: str | None = None
    training_data: str | None = None
    flip_test: bool | None = None
    input_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not _SYSTEM.fullmatch(self.system):
            raise ValueError(
                "system becomes part of file names: letters, digits, dots, hyphens and underscores, a letter "
                f"or digit first; got {self.system!r}."
            )
        if self.boxes is not None and not _BOXES.fullmatch(self.boxes):
            raise ValueError(f"boxes must be gt, none, detector:<which> or unknown, got {self.boxes!r}.")


class Results(Method):
    """Says what a file says; looks at no image. ``--weights`` names the file."""

    paradigm = "one-stage"
    Settings: ClassVar[type[Any]] = ResultsSettings
    settings: ResultsSettings
    takes_weights = True
    include_boxes = True
    reads_images = False

    def __init__(self, keypoints: KeypointSet, settings: ResultsSettings, name: str | None = None) -> None:
        super().__init__(keypoints, settings, f"{name or 'results'}-{settings.system}")
        self.file: Path | None = None
        self.found: Predictions | None = None
        self.poses: dict[int | str, list[Pose]] = {}

    def protocol_overrides(self) -> dict[str, Any]:
        """What the user declared about the file; raises SettingsError if that is nothing about boxes."""
        own = self.settings
        if own.boxes is None:
            raise SettingsError(
                "a results file does not say what boxes its system was given, and systems that were given "
                "people are not ranked against those that had to find them.\n"
                "Say it: --set boxes=gt, --set boxes=none, --set boxes=detector:<which>, or --set "
                "boxes=unknown, which stands alone."
            )
        boxes = f"unknown ({own.system})" if own.boxes == "unknown" else own.boxes
        # The settings describe the system; none of them changes it.
        return {"boxes": boxes, "training_data": own.training_data, "changed_settings": {}}

    def load_weights(self, weights: Path) -> None:
        """Read the results file; raises PredictionError, with entry and remedy, if it cannot be scored."""
        self.file, self.found = weights, read_predictions(weights, self.keypoints)
        self.poses = _by_image(self.found, self.found.image_ids)

    def on_start(self, samples: Sequence[Sample], complete: bool) -> None:
        """Raise PredictionError if the file has images of another split."""
        known = {sample.image_id for sample in samples}
        if self.found is not None:
            names = _names(samples)
            ids = ids_of(self.found, known, names)
            require_agreement(self.found, ids, names, "this split")
            self.poses = _by_image(self.found, ids)
            self.notes = (*self.found.notes, *note_of(self.found, ids, "this split"))
        others = [image_id for image_id in self.poses if image_id not in known]
        if others and (complete or len(others) == len(self.poses)):
            raise PredictionError(
                f"{self.file}: {len(others)} of its {len(self.poses)} images are not in this split, for one "
                f"image_id {others[0]!r}. It may be of another split or dataset."
            )

    def estimate_sample(self, sample: Sample) -> list[Pose]:
        """The file's poses of an image, in the file's order; none if it has none."""
        return self.poses.get(sample.image_id, [])

    def estimate(self, image: NDArray[np.uint8], boxes: FloatArray) -> list[Pose]:
        """Raise SettingsError: without an image id there is nothing to look up."""
        raise SettingsError("a results file has poses of a dataset's images, and none of other pictures.")


def _names(samples: Sequence[Sample]) -> ImageNames:
    """The images by their file names, with folders only where they are needed."""
    counts = Counter(sample.path.name for sample in samples)
    return ImageNames(
        [(s.image_id, s.path.name if counts[s.path.name] == 1 else s.path.as_posix()) for s in samples]
    )


def _by_image(found: Predictions, image_ids: Sequence[int | str]) -> dict[int | str, list[Pose]]:
    poses = defaultdict(list)
    boxes = [None] * len(image_ids) if found.boxes is None else map(np.asarray, found.boxes)
    for image_id, keypoints, score, box in zip(
        image_ids, found.keypoints, found.scores.tolist(), boxes, strict=True
    ):
        poses[image_id].append(Pose(np.reshape(keypoints, (-1, 3)), score, box))
    return dict(poses)
