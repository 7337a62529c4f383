"""Index images by file name, for results files that name images instead of giving ids."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import PurePosixPath

ImageId = int | str
_Parts = tuple[str, ...]


class ImageNames:
    """The file names of an annotation file, found with or without folders and extension.

    ``val2017/0001.jpg``, ``0001.jpg`` and ``0001`` are one image if the annotation file has only one such.
    """

    def __init__(self, images: Iterable[tuple[ImageId, str | None]]) -> None:
        """Take the images' ids and file names; nothing is indexed before the first question."""
        self._images = images

    def find(self, name: str) -> list[ImageId]:
        """The ids of the images that a name may mean: one if it is clear, none if it is not known."""
        parts = _parts(name)
        if not parts:
            return []
        found = self._of_name.get(parts[-1]) or self._of_stem.get(parts[-1], [])
        return [image_id for image_id, known in found if _agree(known[:-1], parts[:-1])]

    @cached_property
    def _known(self) -> list[tuple[ImageId, _Parts]]:
        named = ((i, _parts(name)) for i, name in dict(self._images).items() if isinstance(name, str))
        return [(image_id, parts) for image_id, parts in named if parts]

    @cached_property
    def _of_name(self) -> dict[str, list[tuple[ImageId, _Parts]]]:
        found = defaultdict(list)
        for image_id, parts in self._known:
            found[parts[-1]].append((image_id, parts))
        return found

    @cached_property
    def _of_stem(self) -> dict[str, list[tuple[ImageId, _Parts]]]:
        found = defaultdict(list)
        for image_id, parts in self._known:
            found[PurePosixPath(parts[-1]).stem].append((image_id, parts))
        return found


def _parts(name: str) -> _Parts:
    return tuple(part for part in name.strip().replace("\\", "/").split("/") if part not in ("", "."))


def _agree(one: _Parts, other: _Parts) -> bool:
    """Whether folders, as far as both have them, are the same."""
    shared = min(len(one), len(other))
    return shared == 0 or one[-shared:] == other[-shared:]
