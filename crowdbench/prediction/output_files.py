"""What `predict` leaves on disk: which files, and how images and video frames are encoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import LoadedImage, Pose
from crowdbench.engine.inference import to_coco_results
from crowdbench.errors import RunError
from crowdbench.prediction.results import FrameEntry
from crowdbench.prediction.videos import Frame
from crowdbench.system.files.os_errors import writing
from crowdbench.system.files.writing import atomic_path

# Keypoints with less confidence, and poses of a lower score, are not drawn: methods that find the persons
# themselves propose dozens of poses of next to no score, which rank behind all others.
THRESHOLD = MIN_SCORE = 0.05
_JPEG_QUALITY = 95


@dataclass(frozen=True, eq=False, kw_only=True)
class ShownFrame(LoadedImage):
    """A frame of a video as a sample."""

    frame: Frame


@dataclass(frozen=True)
class Output:
    """Where results go, and which.

    Attributes:
        folder: of all files; None writes none.
        drawn: draw copies of pictures and videos; otherwise the frames of videos are kept in the result.
        threshold: keypoints with less confidence are not drawn.
        min_score: poses of a lower score are not drawn.
        overwrite: replace files that are there.
    """

    folder: Path | None = Path("poses")
    drawn: bool = True
    threshold: float = THRESHOLD
    min_score: float = MIN_SCORE
    overwrite: bool = False


def frame_entry(shown: LoadedImage, poses: list[Pose], with_boxes: bool) -> FrameEntry:
    """The entry of a frame in the results."""
    assert isinstance(shown, ShownFrame)
    return FrameEntry(
        shown.frame.number, shown.frame.time_s, to_coco_results(shown, poses, with_boxes=with_boxes)
    )


@contextmanager
def line_file(path: Path) -> Iterator[BinaryIO]:
    """A file of lines that appears when it is finished."""
    with atomic_path(path) as temporary:
        with writing(path):
            file = temporary.open("xb")
        with file:
            yield file
            with writing(path):
                file.flush()


def lines_name(name: str) -> str:
    """What a video's file of poses is called."""
    return f"{name}.jsonl"


def encoded(image: NDArray[np.uint8], name: str) -> bytes:
    """The content of an image file, by its name's ending; RGB."""
    ending = Path(name).suffix
    quality = [] if ending.lower() == ".png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    try:
        done, data = cv2.imencode(ending, image[..., ::-1], quality)
    except cv2.error as error:
        raise RunError(f"{name}: OpenCV cannot write the drawn picture ({error.err}).") from error
    if not done:
        raise RunError(f"{name}: OpenCV cannot write the drawn picture.")
    return data.tobytes()
