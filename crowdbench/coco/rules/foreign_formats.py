"""Recognize datasets' own file formats where COCO format is expected."""

from collections.abc import Mapping
from typing import Any

from crowdbench.coco.raw import RawFile
from crowdbench.errors import CrowdbenchError


def foreign_format(raw: RawFile) -> str | None:
    """Explain a file whose format an installed dataset recognizes.

    Args:
        raw: the file.

    Returns:
        The message of `crowdbench.Dataset.explain_foreign_file`; None if no dataset recognizes it.
    """
    if raw.parts is None or {"images", "annotations", "categories"} <= raw.parts.keys():
        return None
    return explained({**raw.parts, "images": raw.images[:1]})


def explained(content: Mapping[str, Any]) -> str | None:
    """Like `foreign_format`, for a file's top level; one entry of ``images`` is enough."""
    from crowdbench import plugins
    from crowdbench.api.dataset import dataset_class

    for name in plugins.installed("dataset"):
        try:
            message = dataset_class(name).explain_foreign_file(content)
        except CrowdbenchError:
            continue  # a broken plugin is reported when it is used; the fault of the file comes first
        if message is not None:
            return message
    return None
