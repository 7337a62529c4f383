"""Check images and boxes that are common in datasets but rarely considered."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import Pose, Sample
from crowdbench.testing.image_files import write_image, write_palette_png
from crowdbench.testing.outcome import Check, Failed, Outcome, Passed, described, is_not_finite
from crowdbench.testing.pose_difference import changed, equal
from crowdbench.testing.scenes import Scene, background
from crowdbench.testing.subject import MethodSubject

_WHY_CRASH = "one such image ends a run over a whole data set."
_WHY_FINITE = "NaN is larger and smaller than nothing: rankings that meet one are arbitrary from there on."

# (width, height). A method that sees the whole image may enlarge its short side to a fixed length; what is
# much longer than wide then does not fit into memory, and no data set has it.
_SIZES_OF_CROPS = ((1, 1), (1, 40), (40, 1), (2, 2), (17, 31), (2000, 3), (3, 2000), (1999, 301))
_SIZES_OF_IMAGES = ((1, 1), (1, 3), (3, 1), (17, 31), (399, 101))


def check_ordinary(subject: MethodSubject) -> Outcome:
    """One drawn scene, through crowdbench's own loop, which checks numbers of images and keypoints."""
    found = subject.first_answer
    if isinstance(found, Exception):
        if is_not_finite(found):
            return Passed("as far as the check finite lets it")
        return Failed(
            "poses of an ordinary image", subject.failure(), "nothing else can be said of the method."
        )
    scene = subject.ordinary
    if subject.has_boxes and len(found) > len(scene.boxes):
        return Failed(
            "at most one pose for each box",
            f"{len(found)} poses for {len(scene.boxes)} boxes",
            "poses without a box count as false detections, or as a better method than it is.",
        )
    return Passed(f"{len(found)} poses in a scene of {len(scene.boxes)} persons")


def check_finite(subject: MethodSubject) -> Outcome:
    """A drawn scene, and images that are black, white and gray all over, whose contrast is 0."""
    first = subject.first_answer
    if isinstance(first, Exception) and is_not_finite(first):
        return _not_finite(first, "on an ordinary image")
    scene = subject.small[0]
    for level in (0, 128, 255):
        plain = Scene(np.full_like(scene.image, level), scene.boxes, scene.points)
        try:
            subject.answer(subject.sample(plain))
        except Exception as error:
            if is_not_finite(error):
                return _not_finite(error, f"on an image that is {level} everywhere")
            return Failed(f"poses of an image that is {level} everywhere", described(error), _WHY_CRASH)
    return Passed()


def _not_finite(error: Exception, where: str) -> Failed:
    return Failed("finite coordinates, confidences and scores", f"{where}: {described(error)}", _WHY_FINITE)


def check_no_people(subject: MethodSubject) -> Outcome:
    """An image without persons: alone, and among others."""
    full, other = subject.small[:2]
    empty = Scene(background(120, 90, np.random.default_rng(5)), full.boxes[:0], full.points[:0])
    samples = [subject.sample(scene) for scene in (full, empty, other)]
    for batch in ([samples[1]], samples, [samples[1], samples[1]]):
        found = subject.run([batch])[0]
        for sample, poses in zip(batch, found, strict=True):
            if subject.has_boxes and not sample.instances and poses:
                return Failed(
                    "no poses where there are no boxes",
                    f"{len(poses)} poses",
                    "images without detections would get poses.",
                )
    return Passed()


def check_strange_boxes(subject: MethodSubject) -> Outcome:
    """Boxes without area, partly or wholly outside, tiny and huge: what detectors and annotators leave."""
    if not subject.has_boxes:
        return Passed("the method is given no boxes")
    scene = subject.small[0]
    w, h = scene.width, scene.height
    strange: dict[str, list[float]] = {
        "of no area": [30, 30, 0, 0],
        "of no width": [30, 30, 0, 40],
        "of less than a pixel": [30.3, 30.3, 0.4, 0.6],
        "partly outside": [-20, -15, 60, 80],
        "wholly outside": [w + 50, h + 30, 40, 60],
        "larger than the image": [-w, -h, 3 * w, 3 * h],
        "very long": [0, h / 2, w, 2],
    }
    asked: dict[str, list[list[float]]] = {f"a box {name}": [box] for name, box in strange.items()}
    asked["all of these boxes, and two ordinary ones"] = [*strange.values(), *scene.boxes.tolist()]
    for name, boxes in asked.items():
        try:
            found = subject.answer(subject.sample(scene.with_boxes(boxes)))
        except Exception as error:
            return Failed(f"poses, or none, for {name}: {boxes}", described(error), _WHY_CRASH)
        if len(found) > len(boxes):
            return Failed(f"at most {len(boxes)} poses for {name}", f"{len(found)} poses", _WHY_CRASH)
    return Passed(f"{len(strange)} kinds")


def check_sizes(subject: MethodSubject) -> Outcome:
    """Images from one pixel to panoramas."""
    rng = np.random.default_rng(6)
    sizes = _SIZES_OF_CROPS if subject.has_boxes else _SIZES_OF_IMAGES
    points = subject.ordinary.points[:1]
    for width, height in sizes:
        box = np.array([[0.0, 0.0, width, height]])
        scene = Scene(background(width, height, rng), box, points * 0)
        try:
            subject.answer(subject.sample(scene))
        except Exception as error:
            return Failed(
                f"poses, or none, of an image of {width}x{height} (width x height)",
                described(error),
                _WHY_CRASH,
            )
    return Passed(", ".join(f"{width}x{height}" for width, height in sizes))


def check_file_formats(subject: MethodSubject) -> Outcome:
    """The same image as a file of one, three and four channels, of 8 and 16 bits, and with a palette."""
    subject.require_answers()
    scene = subject.small[0].only([0])
    grey = np.asarray(scene.image.mean(axis=2).astype(np.uint8))
    without_colour = Scene(np.repeat(grey[..., None], 3, axis=2), scene.boxes, scene.points)
    for shown, formats in ((without_colour, _grey_formats(grey)), (scene, _colour_formats(scene.image))):
        reference = subject.answer(subject.sample(shown))
        for name, write in formats:
            path = write(subject.folder / f"{name.replace(' ', '-')}.png")
            sample: Sample = subject.as_sample(shown, path, 1)
            try:
                found: list[Pose] = subject.answer(sample)
            except Exception as error:
                return Failed(f"poses of {name}", described(error), _WHY_CRASH)
            if not equal(reference, found):
                return Failed(
                    f"the same poses of {name} as of the same picture in 8-bit RGB",
                    changed([reference], [found], subject.method.keypoints.count)[1],
                    "COCO has greyscale images; a method that decodes files its own way sees them otherwise "
                    "than all others do. `Sample.read` is how crowdbench reads.",
                )
    return Passed("grey, 16-bit grey and RGB, RGBA, palette")


_Formats = Iterator[tuple[str, Callable[[Path], Path]]]


def _grey_formats(grey: NDArray[np.uint8]) -> _Formats:
    palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    yield "a greyscale PNG", lambda path: write_image(path, grey)
    yield "a 16-bit greyscale PNG", lambda path: write_image(path, grey.astype(np.uint16) * 257)
    yield "a palette PNG", lambda path: write_palette_png(path, grey, palette)


def _colour_formats(image: NDArray[np.uint8]) -> _Formats:
    opaque = np.full((*image.shape[:2], 1), 255, dtype=np.uint8)
    yield "a 16-bit RGB PNG", lambda path: write_image(path, image.astype(np.uint16) * 257)
    yield "an RGBA PNG", lambda path: write_image(path, np.concatenate([image, opaque], axis=2))


FIRST = (
    Check("ordinary", "does the method run on an ordinary image?", check_ordinary, _WHY_CRASH),
    Check("finite", "are all numbers finite?", check_finite, _WHY_FINITE),
)
CHECKS = (
    Check("no_people", "may an image contain no person?", check_no_people, _WHY_CRASH),
    Check("strange_boxes", "may boxes be empty, tiny, huge or outside?", check_strange_boxes, _WHY_CRASH),
    Check("sizes", "may images be of any size?", check_sizes, _WHY_CRASH),
    Check("file_formats", "may images be grey, deep, or have a palette?", check_file_formats, _WHY_CRASH),
)
