"""Outlines of persons, as annotation files have them; read when somebody asks for pixels."""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from crowdbench.errors import AnnotationError


class _RunLengths(msgspec.Struct):
    """COCO's run lengths: column by column, beginning outside; as numbers, or packed by the COCO API."""

    size: tuple[int, int]
    counts: list[int] | str


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
        if isinstance(runs.counts, str):
            return self._of_packed_runs(runs.counts, height, width)
        lengths = np.array(runs.counts, dtype=np.int64)
        if (lengths < 0).any() or lengths.sum() != height * width:
            raise self._refused(f"run lengths of {lengths.sum()} pixels, not {height * width}")
        inside = np.arange(len(lengths)) % 2 == 1
        return np.repeat(inside, lengths).reshape(width, height).T

    def _of_packed_runs(self, counts: str, height: int, width: int) -> NDArray[np.bool_]:
        from pycocotools import mask

        try:
            pixels = mask.decode({"size": [height, width], "counts": counts.encode()})
        except ValueError as error:
            raise self._refused(f"packed run lengths that do not fit the image ({error})") from error
        return np.asarray(pixels, dtype=np.bool_)

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
    return np.asarray(mask.decode(merged), dtype=np.bool_)
