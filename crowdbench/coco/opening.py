"""Open an annotation file, refuse impossible content and warn about implausible content."""

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

# A sample of this many persons shows systematic errors of a file.
ENOUGH = 500


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """An annotation file with the result of the plausibility checks.

    Attributes:
        content: the parsed file.
        sizes: ``(images, 2)``, width and height in pixels, swapped if persons fit better; NaN where the file
            has none.
        warnings: what is allowed but implausible, in sentences.
    """

    content: CocoFile
    sizes: FloatArray
    warnings: tuple[str, ...]


def open_coco(path: Path, rules: Rules) -> OpenedFile:
    """Read an annotation file and check that it is plausible.

    Args:
        path: the file, plain or gzipped.
        rules: the requirements.

    Raises:
        MissingDataError: the file cannot be read.
        AnnotationError: it is not an annotation file, breaks rules, or is certainly in another convention.
    """
    content = read_coco(path, rules)
    sizes, found = _plausibility(content, rules)
    certain = [finding for finding in found if finding.severity == "error"]
    if certain:
        reasons = "\n".join(f"{finding.what}.\n{finding.remedy}" for finding in certain)
        raise AnnotationError(f"{path}: {reasons}")
    return OpenedFile(content, sizes, tuple(f"{path.name}: {finding.sentence}" for finding in found))


def _plausibility(content: CocoFile, rules: Rules) -> tuple[FloatArray, list[Implausible]]:
    """Return sizes and findings. The whole of a large file is checked only if a sample has findings."""
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
