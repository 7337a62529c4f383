"""Look at pictures and videos, draw what is found, write it down."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from crowdbench.api.method import Method
from crowdbench.api.types import LoadedImage, Pose, Sample
from crowdbench.engine import hooks
from crowdbench.engine.progress import EvaluationProgress
from crowdbench.errors import CrowdbenchError, DataError, MachineError, SettingsError
from crowdbench.prediction.box_files import BoxProvider, ImageQuery
from crowdbench.prediction.image_names import ImageIds
from crowdbench.prediction.images import read_picture
from crowdbench.prediction.output_files import (
    Output,
    ShownFrame,
    encoded,
    frame_entry,
    line_file,
    lines_name,
)
from crowdbench.prediction.predictor import Estimator
from crowdbench.prediction.results import (
    FailedInput,
    FrameEntry,
    PictureEntry,
    PredictionResult,
    VideoEntry,
    named_results,
)
from crowdbench.prediction.sources import Source, drawn_names
from crowdbench.prediction.videos import Video, video_whole
from crowdbench.system.files.os_errors import is_about_the_name, reason, writing
from crowdbench.system.files.writing import write_whole
from crowdbench.system.text import encodable, name_bytes
from crowdbench.system.version import package_version
from crowdbench.visualization.skeletons import draw_on, person_colours

PREDICTIONS, IMAGES = "predictions.json", "images.json"
# What concerns one picture only, whatever raises it: the others go on.
_OF_ONE_FILE = (DataError, OSError, ValueError, MemoryError, cv2.error)
# A file's count of its frames is an estimate; so much less than that is worth a word.
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
    """Find the poses in pictures and videos.

    What cannot be read, or has no boxes, is listed in the result; the others go on.

    Args:
        estimator: the method.
        sources: pictures and videos.
        boxes: of the persons; `NoBoxProvider` for methods that find them.
        ids: of the pictures, where `boxes` does not give them others.
        output: what is written where.
        every: of videos, look at every so-manieth frame.
        upright: turn pictures and videos as their files say that they are to be shown.
        on_progress: called after every image and frame.

    Raises:
        SettingsError: a file that would be written is there, or is one of the sources.
        MachineError: the results cannot be written.
        ShapeError, RunError: see `crowdbench.engine.inference.predict_batches`.
    """
    if every < 1:
        raise SettingsError(f"every must be at least 1, got {every}.")
    work = PredictionSession(estimator, boxes, ids, output, every, upright, on_progress)
    work.found.notes += estimator.notes
    return work.of(sources)


class PredictionSession:
    """One call of `predict`."""

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
        self.found = PredictionResult(self._info(), self.method.keypoints)
        self.turned: list[Path] = []
        self.done = self.expected = self.persons = 0

    def of(self, sources: Sequence[Source]) -> PredictionResult:
        """Find, draw and write the poses of all sources."""
        names = dict(zip((s.path for s in sources), drawn_names(sources), strict=True))
        self._refuse_to_overwrite(sources, names)
        try:
            self._look(sources, names)
        except BaseException:
            # What was found so far is worth keeping; why the rest is not there is the error to tell.
            self.found.info["complete"] = False
            if self.found.images or self.found.videos:
                with suppress(MachineError):
                    self._write_results()
            raise
        self._note_turned()
        self._write_results()
        return self.found

    def _look(self, sources: Sequence[Source], names: dict[Path, str]) -> None:
        pictures = [source.path for source in sources if source.kind == "picture"]
        videos = [source.path for source in sources if source.kind == "video"]
        self._begin(pictures)
        self.expected = len(pictures)
        for picture, poses in self.estimator.poses(self._pictures(pictures)):
            self._take(picture, poses, names[picture.path])
        for path in videos:
            try:
                self._video(path, names[path])
            except (*_OF_ONE_FILE, MachineError) as error:
                self._fail_or_stop(path, error)

    def _write_results(self) -> None:
        folder = self.output.folder
        if folder is not None:
            if self.found.images or not self.found.videos:
                self._write(folder / PREDICTIONS, msgspec.json.encode(self.found.predictions))
            self._write(folder / IMAGES, msgspec.json.encode(self.found.listing()))

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

    def _refuse_to_overwrite(self, sources: Sequence[Source], names: dict[Path, str]) -> None:
        folder = self.output.folder
        if folder is None:
            return
        targets = [folder / IMAGES]
        if any(source.kind == "picture" for source in sources):
            targets.append(folder / PREDICTIONS)
        for source in sources:
            if source.kind == "video":
                targets.append(folder / lines_name(names[source.path]))
            if self.output.drawn:
                targets.append(folder / names[source.path])
        own = {os.path.realpath(source.path) for source in sources}
        there = [target for target in targets if os.path.lexists(target)]
        for target in there:
            if os.path.realpath(target) in own:
                raise SettingsError(
                    f"{target} is one of the pictures, and would be overwritten. Choose another "
                    "folder with --out."
                )
        if there and not self.output.overwrite:
            others = f" and {len(there) - 1} other files" if len(there) > 1 else ""
            raise SettingsError(
                f"{there[0]}{others} would be overwritten. Choose another folder with --out, or pass "
                "--overwrite."
            )

    def _begin(self, pictures: Sequence[Path]) -> None:
        """Tell the method what will be asked for, if it wants to know: every picture is read for that."""
        if type(self.method).on_start is Method.on_start:
            return
        told = []
        for path in pictures:
            with suppress(*_OF_ONE_FILE):  # it is met again
                p = self._picture(path)
                told.append(
                    Sample(p.image_id, p.path, p.width, p.height, p.instances, box_source=p.box_source)
                )
        self.turned.clear()
        hooks.on_start(self.method, told, complete=False)

    def _pictures(self, paths: Sequence[Path]) -> Iterator[LoadedImage]:
        """Those that can be read."""
        for path in paths:
            try:
                picture = self._picture(path)
            except _OF_ONE_FILE as error:
                self._fail(path, error)
            else:
                yield picture

    def _picture(self, path: Path) -> LoadedImage:
        pixels, turned = read_picture(path, upright=self.upright)
        if turned:
            self.turned.append(path)
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

    def _take(self, picture: LoadedImage, poses: list[Pose], name: str) -> None:
        """Draw and keep what was found in a picture."""
        drawn = None
        if self.output.folder is not None and self.output.drawn:
            try:
                self._write(self.output.folder / name, encoded(self._drawn(picture, poses, []), name))
                drawn = encodable(name)
            except MachineError as error:
                self._fail_or_stop(picture.path, error)
        file_name = encodable(picture.path.as_posix())
        entry = PictureEntry(
            picture.image_id,
            file_name,
            picture.width,
            picture.height,
            len(poses),
            drawn,
            name_bytes(picture.path),
        )
        self.found.images.append(entry)
        self.found.predictions += named_results(
            picture, poses, file_name, with_boxes=self.method.include_boxes
        )
        self._tell(len(poses))

    def _write(self, path: Path, content: bytes) -> None:
        write_whole(path, content)

    def _drawn(
        self, picture: LoadedImage, poses: Sequence[Pose], before: list[tuple[Pose, str]]
    ) -> NDArray[np.uint8]:
        """A copy with skeletons; `before` has those of the frame before, and gets these."""
        shown = [pose for pose in poses if pose.score >= self.output.min_score]
        self.found.poses_drawn += len(shown)
        colours = person_colours(shown, before)
        before[:] = zip(shown, colours, strict=True)
        return draw_on(
            picture.pixels,
            shown,
            self.method.keypoints,
            colours=colours,
            threshold=self.output.threshold,
        )

    def _video(self, path: Path, name: str) -> None:
        """Draw and keep what is found in a video."""
        folder = self.output.folder
        with Video(path, upright=self.upright) as video, ExitStack() as files:
            if video.turned:
                self.turned.append(path)
            self.expected += -(-video.announced // self.every)
            rate = video.frames_per_s / self.every
            lines = files.enter_context(line_file(folder / lines_name(name))) if folder else None
            copy = (
                files.enter_context(video_whole(folder / name, rate))
                if folder and self.output.drawn
                else None
            )
            frames: list[FrameEntry] = []
            before: list[tuple[Pose, str]] = []
            looked_at = persons = 0
            size = (0, 0)
            for shown, poses in self.estimator.poses(self._frames(video)):
                entry = frame_entry(shown, poses, self.method.include_boxes)
                if copy is None:
                    frames.append(entry)
                if lines is not None and folder is not None:
                    with writing(folder / lines_name(name)):
                        lines.write(msgspec.json.encode(entry) + b"\n")
                if copy is not None:
                    copy.write(self._drawn(shown, poses, before))
                looked_at += 1
                persons += len(poses)
                size = shown.width, shown.height
                self._tell(len(poses))
        if video.read < video.announced * (1 - _MISSING_FRAMES):
            self.found.notes.append(
                f"{path}: the file speaks of {video.announced} frames; {video.read} could be read."
            )
        self.found.frames.append(frames)
        self.found.videos.append(
            VideoEntry(
                encodable(path.as_posix()),
                *size,
                frames_per_s=video.frames_per_s,
                frames=looked_at,
                poses=persons,
                poses_file=encodable(lines_name(name)) if lines is not None else None,
                drawn=encodable(name) if copy is not None else None,
                file_name_bytes=name_bytes(path),
            )
        )

    def _frames(self, video: Video) -> Iterator["ShownFrame"]:
        for frame in video.frames(self.every):
            height, width = frame.pixels.shape[:2]
            given = self.boxes.of(ImageQuery(video.path, width, height, frame.number))
            yield ShownFrame(
                image_id=frame.number,
                path=video.path,
                width=width,
                height=height,
                instances=given.instances,
                box_source=given.source,
                pixels=frame.pixels,
                frame=frame,
            )

    def _fail_or_stop(self, path: Path, error: Exception) -> None:
        """A name that the folder of results cannot have concerns one file; a full disk all of them."""
        if isinstance(error, MachineError) and not is_about_the_name(error.__cause__):
            raise error
        self._fail(path, error)

    def _fail(self, path: Path, error: Exception) -> None:
        words = str(error) if isinstance(error, CrowdbenchError) else f"{path}: {reason(error)}."
        self.found.failed.append(FailedInput(encodable(path.as_posix()), encodable(words), name_bytes(path)))
        self._tell()

    def _tell(self, persons: int = 0) -> None:
        """One more picture or frame is done."""
        self.done += 1
        self.persons += persons
        self.on_progress(EvaluationProgress(self.done, max(self.done, self.expected), self.persons))

    def _note_turned(self) -> None:
        if self.turned and not self.upright:
            some = f" and {len(self.turned) - 1} others" if len(self.turned) > 1 else ""
            self.found.notes.append(
                f"{self.turned[0]}{some}: stored turned or mirrored, to be shown upright by their EXIF "
                "orientation or its like. Taken as stored, as all datasets are; --upright turns them first."
            )
