"""Read the frames of a video, and write a drawn copy."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import LoadedImage
from crowdbench.errors import ImageError, RunError
from crowdbench.system.files.opening import open_regular
from crowdbench.system.files.os_errors import reason
from crowdbench.system.files.writing import atomic_path

# Assumed where the file states no frame rate.
_FRAMES_PER_S = 25.0
_CODEC = "mp4v"


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoFrame(LoadedImage):
    """A video frame as a sample: `image_id` is its number, from 0, and `time_s` its presentation time."""

    time_s: float


class Video:
    """An open video.

    Args:
        path: the video file.
        upright: rotate frames as the file's metadata says.

    Attributes:
        frames_per_s: the frame rate.
        announced: the approximate frame count that the file states; 0 if it states none.
        turned: whether the file's metadata says to rotate the frames.
        read: the number of frames read so far.

    Raises:
        ImageError: OpenCV cannot open it.
    """

    def __init__(self, path: Path, *, upright: bool) -> None:
        self.path = path
        try:
            # Opened by its descriptor: a name may not be UTF-8, or look like a URL or a file name pattern.
            self._file = open_regular(path)
        except (OSError, ValueError) as failure:
            raise ImageError(f"{path}: cannot read the video ({reason(failure)}).") from failure
        self._capture = cv2.VideoCapture(f"/dev/fd/{self._file.fileno()}", cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            self._file.close()
            raise ImageError(f"{path}: not a video that OpenCV can read; it may be damaged or truncated.")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, float(upright))
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frames_per_s = rate if math.isfinite(rate) and rate > 0 else _FRAMES_PER_S
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.announced = int(count) if math.isfinite(count) and count > 0 else 0
        self.turned = self._capture.get(cv2.CAP_PROP_ORIENTATION_META) % 360 != 0
        self.read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.release()
        self._file.close()

    def frames(self, every: int = 1) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
        """Yield number, time in s and RGB pixels of every n-th frame, once; raises ImageError without any."""
        while self._capture.grab():
            number = self.read
            if number % every == 0:
                done, image = self._capture.retrieve()
                if not done:
                    break
                # Some files have no time stamps.
                stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                time_s = stamp if stamp > 0 else number / self.frames_per_s
                rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                yield number, time_s, rgb.astype(np.uint8, copy=False)
            self.read += 1
        if self.read == 0:
            raise ImageError(f"{self.path}: OpenCV opens the video but cannot read any frame.")


class VideoWriter:
    """Writes frames of equal size to an MP4 file; see `video_whole`."""

    def __init__(self, path: Path, frames_per_s: float) -> None:
        self._path = path
        self._frames_per_s = frames_per_s
        self._writer: cv2.VideoWriter | None = None

    def write(self, pixels: NDArray[np.uint8]) -> None:
        """Append a frame, ``(H, W, 3)`` uint8, RGB; raises RunError if OpenCV cannot write videos here."""
        height, width = pixels.shape[:2]
        # Chroma subsampling needs even sizes; OpenCV would crop the last row or column.
        even = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._writer is None:
            self._writer = cv2.VideoWriter(
                str(self._path.absolute()),
                cv2.CAP_FFMPEG,
                cv2.VideoWriter.fourcc(*_CODEC),
                self._frames_per_s,
                (even.shape[1], even.shape[0]),
            )
            if not self._writer.isOpened():
                raise RunError(f"{self._path}: OpenCV cannot write this video; --json writes poses only.")
        self._writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


@contextmanager
def video_whole(path: Path, frames_per_s: float) -> Iterator[VideoWriter]:
    """Write a video that appears under its name when it is complete, or not at all."""
    with atomic_path(path) as temporary:
        writer = VideoWriter(temporary, frames_per_s)
        try:
            yield writer
        finally:
            writer.close()
