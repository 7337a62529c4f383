"""Videos: frames in order, and a drawn copy of them."""

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

from crowdbench.errors import ImageError, RunError
from crowdbench.system.files.opening import open_regular
from crowdbench.system.files.os_errors import reason
from crowdbench.system.files.writing import atomic_path

# Where a file does not say.
_FRAMES_PER_S = 25.0
_WRITTEN_AS = "mp4v"


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video.

    Attributes:
        number: counted from 0, of all frames of the video.
        time_s: when it is shown.
        pixels: ``(H, W, 3)`` uint8, RGB.
    """

    number: int
    time_s: float
    pixels: NDArray[np.uint8]


class Video:
    """An opened video.

    Args:
        path: of the file.
        upright: turn frames as the file says that they are to be shown.

    Attributes:
        frames_per_s: when it is shown.
        announced: about how many frames there are, as the file says; 0 if it does not.
        turned: the file says that its frames are to be turned.
        read: how many frames `frames` has come to the end of.

    Raises:
        ImageError: OpenCV cannot open it.
    """

    def __init__(self, path: Path, *, upright: bool) -> None:
        self.path = path
        try:
            # By its number: a name may be no UTF-8, look like a protocol, or be a pattern of names.
            self._file = open_regular(path)
        except (OSError, ValueError) as failure:
            raise ImageError(f"{path}: cannot read the video ({reason(failure)}).") from failure
        self._capture = cv2.VideoCapture(f"/dev/fd/{self._file.fileno()}", cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            self._file.close()
            raise ImageError(f"{path}: not a video that OpenCV can read; it may be broken or cut off.")
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

    def frames(self, every: int = 1) -> Iterator[Frame]:
        """Frames 0, every, 2 every, ... in order; once.

        Raises:
            ImageError: not even the first can be read.
        """
        while self._capture.grab():
            number = self.read
            if number % every == 0:
                done, image = self._capture.retrieve()
                if not done:
                    break
                # What the file says of the time of a frame, some files do not say at all.
                told = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                time_s = told if told > 0 else number / self.frames_per_s
                yield Frame(
                    number, time_s, cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
                )
            self.read += 1
        if self.read == 0:
            raise ImageError(f"{self.path}: OpenCV opens the video and can read no frame of it.")


class VideoWriter:
    """Writes frames of one size as an MP4 file; see `video_whole`."""

    def __init__(self, path: Path, frames_per_s: float) -> None:
        self._path = path
        self._frames_per_s = frames_per_s
        self._writer: cv2.VideoWriter | None = None

    def write(self, pixels: NDArray[np.uint8]) -> None:
        """Add a frame, ``(H, W, 3)`` uint8, RGB.

        Raises:
            RunError: OpenCV cannot write videos here.
        """
        height, width = pixels.shape[:2]
        # The encoder halves the resolution of colours: sizes are even. OpenCV would cut the last line off.
        even = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._writer is None:
            self._writer = cv2.VideoWriter(
                str(self._path.absolute()),
                cv2.CAP_FFMPEG,
                cv2.VideoWriter.fourcc(*_WRITTEN_AS),
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
    """A video that appears under its name when it is finished, or not at all."""
    with atomic_path(path) as temporary:
        writer = VideoWriter(temporary, frames_per_s)
        try:
            yield writer
        finally:
            writer.close()
