"""The results of a prediction, as they are written to disk."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from crowdbench.api.types import KeypointSet, Pose, Sample
from crowdbench.engine.inference import to_coco_results


@dataclass(frozen=True)
class PredictedImage:
    """An entry of COCO's ``images`` list.

    Attributes:
        id: the ``image_id`` of its predictions.
        file_name: the path as given by the user.
        width, height: the size in pixels.
        poses: the number of poses found.
        drawn: the drawn copy, relative to the output folder; None if there is none.
        file_name_bytes: the percent-encoded bytes of a name that is not UTF-8, which `file_name` can only
            describe; not written for others.
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
    """A video frame: one line of the video's poses file.

    Attributes:
        frame: the frame number in the video, from 0.
        time_s: the presentation time.
        poses: COCO results; ``image_id`` is the frame number.
    """

    frame: int
    time_s: float
    poses: list[msgspec.Raw]


@dataclass(frozen=True)
class VideoEntry:
    """A video and its results.

    Attributes:
        file_name: the path as given by the user.
        width, height: the frame size in pixels.
        frames_per_s: the video's frame rate; the drawn copy's is lower if frames were skipped.
        frames: the number of frames processed.
        poses: the number of poses found in them.
        poses_file: the file with one line per frame, relative to the output folder; None if there is none.
        drawn: the drawn copy, likewise.
        file_name_bytes: see `PredictedImage`.
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
    """A file that could not be processed.

    Attributes:
        file_name: the path as given by the user.
        error: the error message.
        file_name_bytes: see `PredictedImage`.
    """

    file_name: str
    error: str
    file_name_bytes: str | msgspec.UnsetType = msgspec.UNSET


@dataclass
class PredictionResult:
    """The results of one call of `predict`.

    Attributes:
        info: how: method, settings, weights, and what else decides a prediction.
        layout: the keypoints.
        images, videos, failed: what was looked at.
        predictions: of the images, in COCO results format and with ``file_name``.
        frames: the frames of each video; empty if the video was drawn.
        notes: sentences for the user.
        poses_drawn: the number of poses with a score high enough to be drawn.
    """

    info: dict[str, Any]
    layout: KeypointSet
    images: list[PredictedImage] = field(default_factory=list)
    videos: list[VideoEntry] = field(default_factory=list)
    failed: list[FailedInput] = field(default_factory=list)
    predictions: list[msgspec.Raw] = field(default_factory=list)
    frames: list[list[FrameEntry]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    poses_drawn: int = 0

    @property
    def poses(self) -> int:
        """The number of poses found."""
        return sum(e.poses for e in self.images) + sum(e.poses for e in self.videos)

    def listing(self) -> dict[str, Any]:
        """The images and videos processed, with COCO's ``images`` and ``categories``."""
        person = {
            "id": 1,
            "name": "person",
            "keypoints": list(self.layout.keypoints),
            "skeleton": [[a + 1, b + 1] for a, b in self.layout.skeleton],  # 1-based in COCO
        }
        return {
            "info": self.info,
            "images": self.images,
            "categories": [person],
            "videos": self.videos,
            "failed": self.failed,
        }

    def whole(self) -> dict[str, Any]:
        """The listing and all predictions in one object."""
        videos = [
            {**msgspec.to_builtins(video), "frames": frames}
            for video, frames in zip(self.videos, self.frames, strict=True)
        ]
        return {**self.listing(), "videos": videos, "predictions": self.predictions}


def named_results(
    sample: Sample, poses: list[Pose], file_name: str, *, with_boxes: bool
) -> list[msgspec.Raw]:
    """COCO results for an image's poses, each with the image's ``file_name``."""
    name = msgspec.json.encode(file_name)
    # The entries are encoded already, exactly as a run writes them: insert the name before the closing brace.
    return [
        msgspec.Raw(bytes(entry)[:-1] + b',"file_name":' + name + b"}")
        for entry in to_coco_results(sample, poses, with_boxes=with_boxes)
    ]
