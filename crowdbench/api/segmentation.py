"""Outlines of persons as stored in annotation files, rasterized on demand."""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from crowdbench.errors import AnnotationError


class _RunLengths(msgspec.Struct):
    """COCO's run lengths: column by column, beginning outside; as numbers, or packed by the COCO API."""

    size: tuple[int, int]
    counts: list[int] | str


_FARTHEST = 1e5
_WIDEST_NUMBER = 60  # bits; no image has as many pixels
_Content = list[list[float]] | _RunLengths


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Which pixels a person, or a crowd, covers.

    Attributes:
        text: the field ``segmentation`` of a COCO-format annotation, as JSON: polygons in image pixels, or
            run lengths. Kept unread: most are never asked for, and text takes the least memory.
        annotation: its id.
    """

    text: bytes
    annotation: int

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """``(height, width)``: true where the person is, as the COCO API rasterises it.

        Args:
            height, width: of the image, in pixels.

        Raises:
            AnnotationError: the text is neither polygons nor run lengths, or is of another image size.
        """
        content = self._content()
        if isinstance(content, _RunLengths):
            return self._of_runs(content, height, width)
        # Beyond, the COCO API draws lines as long as the memory is large.
        if not all(abs(number) <= _FARTHEST for polygon in content for number in polygon):
            raise self._refused(f"a polygon with a point that is not finite, or beyond {_FARTHEST:g} pixels")
        return _of_polygons(content, height, width)

    def _content(self) -> _Content:
        try:
            content: _Content = msgspec.json.decode(self.text, type=_Content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._refused(f"neither polygons nor run lengths ({error})") from error
        return content

    def _of_runs(self, runs: _RunLengths, height: int, width: int) -> NDArray[np.bool_]:
        if runs.size != (height, width):
            raise self._refused(
                f"run lengths for {runs.size[1]}x{runs.size[0]} pixels (width x height), "
                f"but the image has {width}x{height}"
            )
        counts = runs.counts
        try:
            lengths = _unpacked(counts.encode()) if isinstance(counts, str) else counts
        except ValueError as error:
            raise self._refused(f"packed run lengths that cannot be read ({error})") from error
        if min(lengths, default=0) < 0 or sum(lengths) != height * width:
            raise self._refused(f"run lengths that do not add up to {width}x{height} pixels")
        return _pixels(lengths, height, width)

    def _refused(self, what: str) -> AnnotationError:
        return AnnotationError(
            f"annotation {self.annotation}: its segmentation is {what}.\n"
            "Mend the annotation file, or fetch it again."
        )


def _of_polygons(polygons: list[list[float]], height: int, width: int) -> NDArray[np.bool_]:
    # Two points enclose nothing; the COCO API would take four numbers for a box.
    closed = [polygon for polygon in polygons if len(polygon) >= 6]
    if not closed:
        return np.zeros((height, width), dtype=np.bool_)
    from pycocotools import mask

    merged = mask.merge(mask.frPyObjects(closed, height, width))
    # Its own way back to pixels warns under numpy 2.
    return _pixels(_unpacked(merged["counts"]), height, width)


def _pixels(lengths: list[int], height: int, width: int) -> NDArray[np.bool_]:
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T


def _unpacked(packed: bytes) -> list[int]:
    """The numbers in the COCO API's packed run lengths.

    Each is written in groups of five bits, the lowest first, in printable characters; from the fourth on as
    the difference to the last but one (cocodataset/cocoapi: common/maskApi.c, rleToString).
    """
    lengths: list[int] = []
    value = shift = 0
    for character in packed:
        bits = character - ord("0")
        value |= (bits & 0x1F) << shift
        shift += 5
        if shift > _WIDEST_NUMBER:
            raise ValueError("a number without an end")
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths
