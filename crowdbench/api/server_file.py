"""The results format of a dataset's evaluation server, described as data."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerFile:
    """The file that a server accepts: a JSON list in COCO's results format, in a zip archive of its name.

    Attributes:
        images: how many images each split has that the server scores, by the split's name.
        name: the file's name without its extension, with the placeholders ``{split}`` and ``{algorithm}``.
        source: the page that documents it.
        per_image: how many predictions of an image are scored; the best-scored ones are kept.
        category_id: of persons.
        decimals: of coordinates, in pixels.
        confidence: replaces the keypoints' confidences if the server ignores them.
    """

    images: Mapping[str, int]
    name: str
    source: str
    per_image: int = 20
    category_id: int = 1
    decimals: int = 3
    confidence: int = 1
