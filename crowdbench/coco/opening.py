"""Opening an annotation file: read, refused if it cannot be meant so, with warnings of what hardly can."""

from dataclasses import dataclass
from pathlib import Path

from crowdbench.coco.entry_rules import Rules
from crowdbench.coco.plausible_annotations import implausible_annotations
from crowdbench.coco.reading import CocoFile, read_coco
from crowdbench.errors import AnnotationError


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """An annotation file, and what to think of it.

    Attributes:
        content: what it holds.
        warnings: what is allowed and implausible, in sentences.
    """

    content: CocoFile
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
    found = implausible_annotations(content, rules.protocol) if rules.annotated else []
    certain = [finding for finding in found if finding.severity == "error"]
    if certain:
        told = "\n".join(f"{finding.what}.\n{finding.remedy}" for finding in certain)
        raise AnnotationError(f"{path}: {told}")
    return OpenedFile(content, tuple(f"{path.name}: {finding.sentence}" for finding in found))
