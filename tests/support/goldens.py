"""Golden numbers: whole, as measured on the original programs, or compact, as in ``tests/data``.

Both folders have the same layout. In the compact one, large arrays are replaced by a few hundred of their values,
their mean and their norm.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

DATA = Path(__file__).resolve().parents[1] / "data"
# What a compact file keeps of an array `name`: `name@positions`, `name@values`, and so on.
PARTS = ("positions", "values", "shape", "mean", "norm")


@dataclass(frozen=True)
class Sample:
    """Some values of an array, by their positions in it as a flat array."""

    positions: NDArray[np.int64]
    values: NDArray[Any]
    shape: tuple[int, ...]
    mean: float
    norm: float


class Arrays(Mapping[str, NDArray[Any]]):
    """The arrays of an ``.npz`` file, of which some may be samples."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self._stored = {name: file[name] for name in file.files}
        self.files = list(dict.fromkeys(name.split("@")[0] for name in self._stored))

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A whole array; KeyError if only a sample of it is stored."""
        array: NDArray[Any] = self._stored[name]
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    def sample(self, name: str) -> Sample | None:
        """The sample that stands for an array, if it is not stored whole."""
        if name in self._stored:
            return None
        positions, values, shape, mean, norm = (self._stored[f"{name}@{part}"] for part in PARTS)
        return Sample(positions, values, tuple(shape.tolist()), float(mean), float(norm))

    def values(self, name: str) -> NDArray[Any]:  # type: ignore[override]
        """All values of an array that are stored."""
        sample = self.sample(name)
        return self._stored[name] if sample is None else sample.values

    def kept(self, name: str, found: ArrayLike) -> NDArray[Any]:
        """The values of another array of the same shape at the places of which values are stored."""
        sample, found = self.sample(name), np.asarray(found)
        return found if sample is None else found.ravel()[sample.positions]

    def assert_close(
        self, name: str, found: ArrayLike, *, rows: int | None = None, rtol: float = 0.0, atol: float = 0.0
    ) -> None:
        """Assert that an array, or its first `rows` rows, equals the stored one; of a sample, also mean and norm."""
        found = np.asarray(found)
        sample = self.sample(name)
        if sample is None:
            expected = self._stored[name][:rows]
            np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=name)
            return
        count = sample.shape[0] if rows is None else rows
        assert found.shape == (count, *sample.shape[1:]), name
        inside = sample.positions < found.size
        assert inside.sum() > 30, name
        np.testing.assert_allclose(
            found.ravel()[sample.positions[inside]],
            sample.values[inside],
            rtol=rtol,
            atol=atol,
            err_msg=name,
        )
        if rows is None:
            # Arrays within the tolerance cannot differ by more in these.
            root = found.size**0.5
            values = found.astype(np.float64)
            norm, slack = np.linalg.norm(values), root * atol + (rtol + 1e-7) * sample.norm
            np.testing.assert_allclose(norm, sample.norm, rtol=0, atol=slack, err_msg=f"norm of {name}")
            np.testing.assert_allclose(
                values.mean(), sample.mean, rtol=0, atol=slack / root, err_msg=f"mean of {name}"
            )


@cache
def load_arrays(path: Path) -> Arrays:
    """The arrays of a file of golden numbers; not to be changed."""
    return Arrays(path)
