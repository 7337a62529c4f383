"""How much of a published split was measured: all of it, a sample, or the user's own annotations."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crowdbench.api.dataset import Dataset


@dataclass(frozen=True)
class SplitFacts:
    """What a split is as it is published, and whether an annotation file may be that split's own.

    Attributes:
        images: how many; None where no source tells.
        annotations: how many persons are annotated, likewise.
        is_own: the file is none of the split's published ones.
    """

    images: int | None = None
    annotations: int | None = None
    is_own: bool = False


@dataclass(frozen=True)
class Extent:
    """The measured images, compared with those of the published split.

    Attributes:
        images: how many were measured.
        of: how many the whole split has; None if unknown.
        own: the name of the annotation file if it is not the published one (empty if the name is unknown);
            None if it may be the published one.
        is_cut: only the first images of the annotation file were measured.
        listed: how many images the file lists; None if unknown.
    """

    images: int
    of: int | None = None
    own: str | None = None
    is_cut: bool = False
    listed: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of the published split was measured, as far as names and counts can tell."""
        return not self.is_part and self.of is not None

    @property
    def is_part(self) -> bool:
        """Whether something else than the published split was measured, as far as its size is known."""
        return self.own is not None or self.is_cut or self.of not in (None, self.images)

    @property
    def words(self) -> str:
        """What to add to the split's name: ``53 of 5,000 images``; empty for the whole split."""
        if not self.is_part:
            return ""
        of = self.listed if self.own is not None or self.of is None else self.of
        count = f"{'first ' if self.is_cut else ''}{self.images:,}"
        if of is not None and of != self.images:
            count = f"{count} of {of:,}"
        count = f"{count} image{'' if count == '1' else 's'}"
        return (
            count
            if self.own is None
            else f"{' '.join(filter(None, ('own annotations', self.own)))} ({count})"
        )


def extent_of(
    dataset: "type[Dataset]",
    split: str,
    annotations: Path,
    *,
    images: int,
    listed: int,
    annotated: int | None = None,
) -> Extent:
    """Compare the measured images of an annotation file with the published split.

    Args:
        dataset: whose split.
        split: the split.
        annotations: the file.
        images: how many of its images were measured.
        listed: how many it lists.
        annotated: how many annotations it has, if known.
    """
    facts = dataset.facts(split, annotations)
    is_other = facts.images is not None and (
        listed > facts.images
        or (
            listed == facts.images
            and None not in (annotated, facts.annotations)
            and annotated != facts.annotations
        )
    )
    own = annotations.name if facts.is_own or is_other else None
    return Extent(images, facts.images, own, images < listed, listed)


@cache  # of each row of a leaderboard; what is installed is looked up once, too
def published_images(dataset: str, split: str) -> int | None:
    """How many images a split is published with; None if its adapter does not say, or is not installed."""
    from crowdbench.api.dataset import dataset_class
    from crowdbench.errors import CrowdbenchError

    try:
        counts = getattr(dataset_class(dataset), "published", {})
    except CrowdbenchError:
        return None
    found = counts.get(split)
    return None if found is None else found.images
