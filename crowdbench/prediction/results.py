"""What was found, as it is written down."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from crowdbench.api.types import KeypointSet, Pose, Sample
from crowdbench.engine.inference import to_coco_results


@dataclass(frozen=True)
class PictureEntry:
    """A picture, as COCO's ``images`` list it.

    Attributes:
        id: in the predictions.
        file_name: as it was asked for.
        width, height: in pixels.
        poses: how many were found.
        drawn: the copy with skeletons, under the folder of results; None if there is none.
        file_name_bytes: the name with its bytes as percent signs, where it is not UTF-8 and `file_name` can
            only describe it; not written for all others.
    """

    id: int
    file_name: str
    width: int
    height: int
    poses: int
    drawn: str | None = None
    file_name_bytes: str | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True)
class FrameEntry:
    """A frame of a video, a line of its file.

    Attributes:
        frame: counted from 0, of all frames of the video.
        time_s: when it is shown.
        poses: in COCO results format; ``image_id`` is the frame.
    """

    frame: int
    time_s: float
    poses: list[msgspec.Raw]


@dataclass(frozen=True)
class VideoEntry:
    """A video.

    Attributes:
        file_name: as it was asked for.
        width, height: of its frames, in pixels.
        frames_per_s: of the video; of the drawn copy a part, if not every frame was looked at.
        frames: how many were looked at.
        poses: how many were found in them.
        poses_file: has a line for each frame, under the folder of results; None if there is none.
        drawn: the copy with skeletons, there; None if there is none.
        file_name_bytes: see `PictureEntry`.
    """

    file_name: str
    width: int
    height: int
    frames_per_s: float
    frames: int
    poses: int
    poses_file: str | None = None
    drawn: str | None = None
    file_name_bytes: str | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True)
class FailedInput:
    """What could not be read.

    Attributes:
        file_name: as it was asked for.
        error: why.
        file_name_bytes: see `PictureEntry`.
    """

    file_name: str
    error: str
    file_name_bytes: str | msgspec.UnsetType = msgspec.UNSET


@dataclass
class PredictionResult:
    """Everything that was found.

    Attributes:
        info: how: method, settings, weights, and what else decides a prediction.
        layout: the keypoints.
        images, videos, failed: what was looked at.
        predictions: of the pictures, in COCO results format and with ``file_name``.
        frames: of each video; empty where it was drawn.
        notes: what the user may want to know, in sentences.
        poses_drawn: how many had the score to be drawn.
    """

    info: dict[str, Any]
    layout: KeypointSet
    images: list[PictureEntry] = field(default_factory=list)
    videos: list[VideoEntry] = field(default_factory=list)
    failed: list[FailedInput] = field(default_factory=list)
    predictions: list[msgspec.Raw] = field(default_factory=list)
    frames: list[list[FrameEntry]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    poses_drawn: int = 0

    @property
    def poses(self) -> int:
        """How many poses were found."""
        return sum(e.poses for e in self.images) + sum(e.poses for e in self.videos)

    def listing(self) -> dict[str, Any]:
        """What was looked at, with COCO's ``images`` and ``categories``."""
        person = {
            "id": 1,
            "name": "person",
            "keypoints": list(self.layout.keypoints),
            "skeleton": [[a + 1, b + 1] for a, b in self.layout.skeleton],  # COCO counts from 1
        }
        return {
            "info": self.info,
            "images": self.images,
            "categories": [person],
            "videos": self.videos,
            "failed": self.failed,
        }

    def whole(self) -> dict[str, Any]:
        """Everything in one object."""
        videos = [
            {**msgspec.to_builtins(video), "frames": frames}
            for video, frames in zip(self.videos, self.frames, strict=True)
        ]
        return {**self.listing(), "videos": videos, "predictions": self.predictions}


def named_results(
    sample: Sample, poses: list[Pose], file_name: str, *, with_boxes: bool
) -> list[msgspec.Raw]:
    """Poses of a picture in COCO results format, with its file's name in each."""
    name = msgspec.json.encode(file_name)
    # The entries are text already, and as a run writes them: the name is put before their last brace.
    return [
        msgspec.Raw(bytes(entry)[:-1] + b',"file_name":' + name + b"}")
        for entry in to_coco_results(sample, poses, with_boxes=with_boxes)
    ]
