"""Pictures for tests of ``crowdbench predict``, and what the command says of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 60, 40


@dataclass(frozen=True)
class Said:
    """What a command said."""

    status: int
    out: str
    err: str
    predictions: list[dict[str, Any]] = field(default_factory=list)
    listing: dict[str, Any] = field(default_factory=dict)


Predict = Callable[..., Said]


def picture(x: int = 10, y: int = 5, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Dark, with one bright spot."""
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[y, x] = 255
    return pixels


def save(path: Path, pixels: NDArray[Any] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, picture() if pixels is None else pixels)
    assert done
    path.write_bytes(data.tobytes())
    return path
