"""Panels that are shown on request only, packed by gzip into a fraction of their size.

A page with fifty runs and two hundred pictures has ten thousand panels. Browsers would lay out all of them,
and their poses alone would be more than a page may have; page.js unpacks a run when it is chosen.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from crowdbench.system.files.writing import gzipped


@dataclass(frozen=True)
class Packed:
    """The panels of one run: JSON, gzip, base64."""

    run: int
    label: str
    content: str


def pack(run: int, label: str, panels: Iterable[Any]) -> Packed:
    """Pack what msgspec can write as JSON."""
    return Packed(run, label, base64.b64encode(gzipped(_json(list(panels)))).decode())


def packing_ratio(panels: Iterable[Any]) -> float:
    """What packing makes of a character, by a sample."""
    sample = _json(list(panels))
    return 4 / 3 * len(gzipped(sample)) / len(sample)


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
