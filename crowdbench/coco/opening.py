"""Opening an annotation file: read, refused if it cannot be meant so, with warnings of what hardly can."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crowdbench.api.types import FloatArray
from crowdbench.coco.reading import CocoFile, read_coco
from crowdbench.coco.rules.entries import Rules
from crowdbench.coco.rules.implausible import Implausible
from crowdbench.coco.rules.plausible_annotations import implausible_annotations
from crowdbench.coco.sizes import likely_sizes, sizes_as_written
from crowdbench.errors import AnnotationError

# Persons that show what is a habit of a file.
ENOUGH = 500


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """An annotation file, and what to think of it.

    Attributes:
        content: what it holds.
        sizes: ``(images, 2)``, width and height in pixels, the way round that persons fit better; NaN where
            the file has none.
        warnings: what is allowed and implausible, in sentences.
    """

    content: CocoFile
    sizes: FloatArray
    warnings: tuple[str, ...]


def open_coco(path: Path, rules: Rules) -> OpenedFile:
    """Read an annotation file and look whether it is plausible.

    Args:
        path: the file, plain or gzipped.
        rules: what is asked of it.

    Raises:
        MissingDataError: the file cannot be read.
        AnnotationError: it is no such file, it breaks rules, or it certainly means something else than it
            says.
    """
    content = read_coco(path, rules)
    sizes, found = _looked_at(content, rules)
    certain = [finding for finding in found if finding.severity == "error"]
    if certain:
        told = "\n".join(f"{finding.what}.\n{finding.remedy}" for finding in certain)
        raise AnnotationError(f"{path}: {told}")
    return OpenedFile(content, sizes, tuple(f"{path.name}: {finding.sentence}" for finding in found))


def _looked_at(content: CocoFile, rules: Rules) -> tuple[FloatArray, list[Implausible]]:
    """Sizes and findings. The rules are about habits of files: a part of a large one tells enough to stop."""
    part = content.sample(ENOUGH)
    sizes = likely_sizes(part)
    found = implausible_annotations(part, rules.protocol, sizes) if rules.annotated else []
    if part is content:
        return sizes, found
    written = sizes_as_written(content)
    swapped = not np.array_equal(sizes, sizes_as_written(part), equal_nan=True)
    if not swapped and not found:
        return written, []
    sizes = likely_sizes(content)
    return sizes, implausible_annotations(content, rules.protocol, sizes)
