"""Compress panels that are shown on request only.

A page with fifty runs and two hundred images has ten thousand panels, too many to lay out or to store
uncompressed; page.js unpacks a run when it is selected.
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
    return Packed(run, label, base64.b64encode(gzipped(msgspec.json.encode(list(panels)))).decode())


def packing_ratio(panels: Iterable[Any]) -> float:
    """The ratio of packed to unpacked size, estimated from a sample."""
    sample = msgspec.json.encode(list(panels))
    return 4 / 3 * len(gzipped(sample)) / len(sample)
