"""Files of formats of their own that some datasets are published in, where COCO's format is expected."""

from collections.abc import Mapping
from typing import Any

from crowdbench.coco.raw import RawFile
from crowdbench.errors import CrowdbenchError


def foreign_format(raw: RawFile) -> str | None:
    """What a file is, and which to use instead, if an installed dataset knows its format.

    Args:
        raw: a file.

    Returns:
        The words of `crowdbench.Dataset.explain_foreign_file`; None if no dataset knows it.
    """
    if raw.parts is None or {"images", "annotations", "categories"} <= raw.parts.keys():
        return None
    return explained({**raw.parts, "images": raw.images[:1]})


def explained(content: Mapping[str, Any]) -> str | None:
    """The same, of a file's top level.

    Args:
        content: what the file's object holds; of ``images``, the first is enough.
    """
    from crowdbench import plugins
    from crowdbench.api.dataset import dataset_class

    for name in plugins.installed("dataset"):
        try:
            words = dataset_class(name).explain_foreign_file(content)
        except CrowdbenchError:
            continue  # a plugin that does not load is reported when it is used; the file's fault comes first
        if words is not None:
            return words
    return None
