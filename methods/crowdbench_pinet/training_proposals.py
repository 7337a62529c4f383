"""Choose the pixels whose proposals train the refinement.

They are pixels, not persons: the refinement is shown the poses that the best pixels around the part centers
propose. Which are best follows from the targets alone, so loader workers choose them.

Letters: B images, m proposals of each, K keypoints, P body parts, R pixels of parts that have offsets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from crowdbench.api.types import Float32Array, IntArray
from crowdbench_pinet.network import Proposals
from crowdbench_pinet.recipe import Proposing
from crowdbench_pinet.targets import Offsets


@dataclass(frozen=True, eq=False)
class Candidates:
    """The pixels of one image that could be chosen.

    Attributes:
        offsets: what the pixels tell, R rows.
        scores: ``(R,)`` float32; rows of score 0 are not chosen.
    """

    offsets: Offsets
    scores: Float32Array


def candidates(offsets: Offsets, part_maps: Float32Array) -> Candidates:
    """Score pixels: the part's target there, times the largest weight of an offset.

    So pixels close to a center come first, and of several persons the smallest.

    Args:
        offsets: of an image, R rows.
        part_maps: ``(P, size, size)`` float32, the targets of part centers.
    """
    flat = part_maps.reshape(len(part_maps), -1)
    largest = offsets.weights.max(axis=1, initial=0)
    return Candidates(offsets, flat[offsets.parts, offsets.pixels] * largest)


@dataclass(frozen=True, eq=False)
class Chosen:
    """What the refinement is shown of a batch, and trained towards.

    Attributes:
        part: ``(m,)`` int64, ascending, the part of a proposal.
        pixel: ``(B, m)`` int64, ``y * size + x``.
        values: ``(B, m, K, 2)`` float32, the offsets there, see `Offsets`.
        weights: ``(B, m, K)`` float32, of the offsets; 0 for pixels that only fill up.
    """

    part: IntArray
    pixel: IntArray
    values: Float32Array
    weights: Float32Array

    def asked(self) -> Proposals:
        """As the network asks for them."""
        return Proposals(torch.from_numpy(self.part), torch.from_numpy(self.pixel))


def choose(images: Sequence[Candidates], parts: int, proposing: Proposing) -> Chosen:
    """Choose equally many pixels of every image of a batch, those of the highest scores.

    Of equal scores the pixel further up, then left, comes first. Where an image has too few, the first pixels
    of the map fill up, with weight 0.

    Args:
        images: of the batch, at least one.
        parts: P.
        proposing: how many.
    """
    ranked = [_ranked(image, parts) for image in images]
    counts = [_count([len(rows[part]) for rows in ranked], proposing) for part in range(parts)]
    part = np.repeat(np.arange(parts), counts)
    keypoints = images[0].offsets.weights.shape[1]
    pixel = np.empty((len(images), len(part)), dtype=np.int64)
    values = np.zeros((*pixel.shape, keypoints, 2), dtype=np.float32)
    weights = np.zeros((*pixel.shape, keypoints), dtype=np.float32)
    for index, (image, rows_of) in enumerate(zip(images, ranked, strict=True)):
        offsets, start = image.offsets, 0
        for rows, count in zip(rows_of, counts, strict=True):
            best = rows[:count]
            filled, end = start + len(best), start + count
            pixel[index, start:filled] = offsets.pixels[best]
            pixel[index, filled:end] = _first_others(offsets.pixels[best], count - len(best))
            values[index, start:filled] = offsets.values[best]
            weights[index, start:filled] = offsets.weights[best]
            start = end
    return Chosen(part, pixel, values, weights)


def _ranked(image: Candidates, parts: int) -> list[IntArray]:
    """The rows of each part that have a score, best first."""
    offsets = image.offsets
    order = np.lexsort((offsets.pixels, -image.scores, offsets.parts))
    order = order[image.scores[order] > 0]
    return np.split(order, np.searchsorted(offsets.parts[order], np.arange(1, parts)))


def _count(available: Sequence[int], proposing: Proposing) -> int:
    count = max(available) if proposing.count == "maximum" else min(available)
    # Where there is none, batch norms still need some.
    return min(count, proposing.limit) or proposing.limit


def _first_others(taken: IntArray, count: int) -> IntArray:
    """The first pixels of a map that are not taken."""
    return np.setdiff1d(np.arange(len(taken) + count), taken)[:count]
