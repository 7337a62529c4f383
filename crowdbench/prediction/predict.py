"""Find the poses in images and videos, draw them, and write them to files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import cv2
import msgspec

from crowdbench.api.method import Method
from crowdbench.api.types import LoadedImage, Pose, Sample
from crowdbench.engine import hooks
from crowdbench.engine.inference import to_coco_results
from crowdbench.engine.progress import EvaluationProgress
from crowdbench.errors import CrowdbenchError, DataError, MachineError, SettingsError
from crowdbench.prediction.box_files import BoxProvider, ImageQuery
from crowdbench.prediction.drawing import PoseDrawer, encoded
from crowdbench.prediction.image_names import ImageIds
from crowdbench.prediction.images import read_image
from crowdbench.prediction.output_files import (
    Output,
    line_file,
    lines_name,
    refuse_to_overwrite,
    write_results,
)
from crowdbench.prediction.predictor import Estimator
from crowdbench.prediction.results import (
    FailedInput,
    FrameEntry,
    PredictedImage,
    PredictionResult,
    VideoEntry,
    named_results,
)
from crowdbench.prediction.sources import Source, drawn_names
from crowdbench.prediction.videos import Video, VideoFrame, video_whole
from crowdbench.system.files.os_errors import is_about_the_name, reason, writing
from crowdbench.system.files.writing import write_whole
from crowdbench.system.text import encodable, name_bytes
from crowdbench.system.version import package_version

# Errors that concern one file only, whatever raises them: the other files are still processed.
_ONE_FILE_ERRORS = (DataError, OSError, ValueError, MemoryError, cv2.error)
# A container's frame count is an estimate; a note is added if more than this share of it is missing.
_MISSING_FRAMES = 0.02


def predict(
    estimator: Estimator,
    sources: Sequence[Source],
    boxes: BoxProvider,
    ids: ImageIds,
    output: Output = Output(),  # noqa: B008  (frozen)
    *,
    every: int = 1,
    upright: bool = False,
    on_progress: Callable[[EvaluationProgress], None] = lambda progress: None,
) -> PredictionResult:
    """Find the poses in images and videos.

    A file that cannot be read, or that has no boxes, is listed in the result; the others are still processed.

    Args:
        estimator: the method with its weights.
        sources: images and videos.
        boxes: provides the persons' boxes; `NoBoxProvider` for methods that find the persons themselves.
        ids: image ids, used where `boxes` gives none.
        output: what is written, and where.
        every: process every n-th frame of videos.
        upright: rotate images and videos as their metadata says.
        on_progress: called after every image and frame.

    Raises:
        SettingsError: an output file already exists, or is one of the sources.
        MachineError: the results cannot be written.
        ShapeError, RunError: see `crowdbench.engine.inference.predict_batches`.
    """
    if every < 1:
        raise SettingsError(f"every must be at least 1, got {every}.")
    return PredictionSession(estimator, boxes, ids, output, every, upright, on_progress).run(sources)


class PredictionSession:
    """The state of one call of `predict`."""

    def __init__(
        self,
        estimator: Estimator,
        boxes: BoxProvider,
        ids: ImageIds,
        output: Output,
        every: int,
        upright: bool,
        on_progress: Callable[[EvaluationProgress], None],
    ) -> None:
        self.estimator = estimator
        self.method = estimator.method
        self.boxes = boxes
        self.ids = ids
        self.output = output
        self.every = every
        self.upright = upright
        self.on_progress = on_progress
        self.result = PredictionResult(self._info(), self.method.keypoints, notes=list(estimator.notes))
        self.drawer = PoseDrawer(self.method.keypoints, output.threshold, output.min_score)
        self.rotated: list[Path] = []
        self.done = self.expected = self.persons = 0

    def run(self, sources: Sequence[Source]) -> PredictionResult:
        """Find, draw and write the poses of all sources."""
        names = dict(zip((s.path for s in sources), drawn_names(sources), strict=True))
        refuse_to_overwrite(self.output, sources, names)
        try:
            self._process(sources, names)
        except BaseException:
            # Keep what was found so far. The error that stopped the rest is the one to report.
            self.result.info["complete"] = False
            if self.result.images or self.result.videos:
                with suppress(MachineError):
                    self._write_results()
            raise
        self._note_rotated()
        self._write_results()
        return self.result

    def _process(self, sources: Sequence[Source], names: dict[Path, str]) -> None:
        images = [source.path for source in sources if source.kind == "image"]
        self._start_method(images)
        self.expected = len(images)
        for image, poses in self.estimator.poses(self._readable(images)):
            self._add_image(image, poses, names[image.path])
        for path in (source.path for source in sources if source.kind == "video"):
            try:
                self._add_video(path, names[path])
            except (*_ONE_FILE_ERRORS, MachineError) as error:
                self._fail_or_raise(path, error)

    def _write_results(self) -> None:
        self.result.poses_drawn = self.drawer.count
        if self.output.folder is not None:
            write_results(self.output.folder, self.result)

    def _info(self) -> dict[str, Any]:
        method, weights = self.method, self.estimator.weights
        return {
            "description": f"crowdbench {package_version()} predict",
            "method": method.name,
            "keypoints": method.keypoints.name,
            "settings": msgspec.to_builtins(method.settings),
            "weights": weights.source,
            "weights_sha256": weights.sha256,
            "device": self.estimator.device.type,
            "precision": self.estimator.precision,
            "batch_size": self.estimator.batch_size,
            "upright": self.upright,
        }

    def _start_method(self, paths: Sequence[Path]) -> None:
        """Call `Method.on_start` with every image; reads them all, so only if the method overrides it."""
        if type(self.method).on_start is Method.on_start:
            return
        samples = []
        for path in paths:
            with suppress(*_ONE_FILE_ERRORS):  # reported when the image is processed
                p = self._load(path)
                samples.append(
                    Sample(p.image_id, p.path, p.width, p.height, p.instances, box_source=p.box_source)
                )
        self.rotated.clear()
        hooks.on_start(self.method, samples, complete=False)

    def _readable(self, paths: Sequence[Path]) -> Iterator[LoadedImage]:
        for path in paths:
            try:
                image = self._load(path)
            except _ONE_FILE_ERRORS as error:
                self._fail(path, error)
            else:
                yield image

    def _load(self, path: Path) -> LoadedImage:
        pixels, is_rotated = read_image(path, upright=self.upright)
        if is_rotated:
            self.rotated.append(path)
        height, width = pixels.shape[:2]
        given = self.boxes.of(ImageQuery(path, width, height))
        return LoadedImage(
            image_id=self.ids.of(path) if given.image_id is None else given.image_id,
            path=path,
            width=width,
            height=height,
            instances=given.instances,
            box_source=given.source,
            pixels=pixels,
        )

    def _add_image(self, image: LoadedImage, poses: list[Pose], name: str) -> None:
        """Draw and record the poses of an image."""
        drawn = None
        if self.output.folder is not None and self.output.drawn:
            try:
                content = encoded(self.drawer.draw(image.pixels, poses, []), name)
                write_whole(self.output.folder / name, content)
                drawn = encodable(name)
            except MachineError as error:
                self._fail_or_raise(image.path, error)
        file_name = encodable(image.path.as_posix())
        size = image.width, image.height
        self.result.images.append(
            PredictedImage(image.image_id, file_name, *size, len(poses), drawn, name_bytes(image.path))
        )
        self.result.predictions += named_results(
            image, poses, file_name, with_boxes=self.method.include_boxes
        )
        self._advance(len(poses))

    def _add_video(self, path: Path, name: str) -> None:
        """Draw and record the poses of a video."""
        folder = self.output.folder
        with Video(path, upright=self.upright) as video, ExitStack() as files:
            if video.turned:
                self.rotated.append(path)
            self.expected += -(-video.announced // self.every)
            rate = video.frames_per_s / self.every
            lines = files.enter_context(line_file(folder / lines_name(name))) if folder else None
            is_drawn = folder is not None and self.output.drawn
            copy = files.enter_context(video_whole(folder / name, rate)) if folder and is_drawn else None
            frames: list[FrameEntry] = []
            previous: list[tuple[Pose, str]] = []
            processed = persons = 0
            size = (0, 0)
            for frame, poses in self.estimator.poses(self._frames(video)):
                assert isinstance(frame, VideoFrame)
                results = to_coco_results(frame, poses, with_boxes=self.method.include_boxes)
                entry = FrameEntry(frame.image_id, frame.time_s, results)
                if copy is None:
                    frames.append(entry)
                if lines is not None and folder is not None:
                    with writing(folder / lines_name(name)):
                        lines.write(msgspec.json.encode(entry) + b"\n")
                if copy is not None:
                    copy.write(self.drawer.draw(frame.pixels, poses, previous))
                processed += 1
                persons += len(poses)
                size = frame.width, frame.height
                self._advance(len(poses))
        if video.read < video.announced * (1 - _MISSING_FRAMES):
            self.result.notes.append(
                f"{path}: the file announces {video.announced} frames; {video.read} could be read."
            )
        self.result.frames.append(frames)
        self.result.videos.append(
            VideoEntry(
                encodable(path.as_posix()),
                *size,
                frames_per_s=video.frames_per_s,
                frames=processed,
                poses=persons,
                poses_file=encodable(lines_name(name)) if lines is not None else None,
                drawn=encodable(name) if copy is not None else None,
                file_name_bytes=name_bytes(path),
            )
        )

    def _frames(self, video: Video) -> Iterator[VideoFrame]:
        for number, time_s, pixels in video.frames(self.every):
            height, width = pixels.shape[:2]
            given = self.boxes.of(ImageQuery(video.path, width, height, number))
            yield VideoFrame(
                image_id=number,
                path=video.path,
                width=width,
                height=height,
                instances=given.instances,
                box_source=given.source,
                pixels=pixels,
                time_s=time_s,
            )

    def _fail_or_raise(self, path: Path, error: Exception) -> None:
        """Record a name that the output folder cannot hold as one file's failure; raise for a full disk."""
        if isinstance(error, MachineError) and not is_about_the_name(error.__cause__):
            raise error
        self._fail(path, error)

    def _fail(self, path: Path, error: Exception) -> None:
        message = str(error) if isinstance(error, CrowdbenchError) else f"{path}: {reason(error)}."
        self.result.failed.append(
            FailedInput(encodable(path.as_posix()), encodable(message), name_bytes(path))
        )
        self._advance()

    def _advance(self, persons: int = 0) -> None:
        """Report that one more image or frame is done."""
        self.done += 1
        self.persons += persons
        self.on_progress(EvaluationProgress(self.done, max(self.done, self.expected), self.persons))

    def _note_rotated(self) -> None:
        if self.rotated and not self.upright:
            others = f" and {len(self.rotated) - 1} others" if len(self.rotated) > 1 else ""
            self.result.notes.append(
                f"{self.rotated[0]}{others}: stored rotated or mirrored, with metadata such as an EXIF "
                "orientation to show it upright. Processed as stored, as datasets are; --upright rotates "
                "images first."
            )
