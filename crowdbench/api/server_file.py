"""The results format of a dataset's evaluation server, described as data."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerFile:
    """The file that a server wants: a JSON list in COCO's results format, in a zip archive of the same name.

    Attributes:
        images: how many images each split has that the server scores, by the split's name.
        name: of the file, without its extension; ``{split}`` and ``{algorithm}`` stand for themselves.
        source: the page that says so.
        per_image: so many predictions of an image are looked at, the best-scored; the others are left out.
        category_id: of persons.
        decimals: of coordinates, in pixels.
        confidence: takes the place of the keypoints' confidences where the server looks at none.
    """

    images: Mapping[str, int]
    name: str
    source: str
    per_image: int = 20
    category_id: int = 1
    decimals: int = 3
    confidence: int = 1
