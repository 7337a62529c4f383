"""Checks that need photographs with annotated persons.

A network trained on photographs does not find drawn persons, so drawings do not reveal most of its faults.
Comparison with annotations does: permuted keypoints, poses that improve when red and blue are swapped, and a
constant offset.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray, KeypointSet
from crowdbench.testing.annotated import AnnotatedSubject, Matched
from crowdbench.testing.outcome import (
    Check,
    CheckResult,
    Failed,
    Inapplicable,
    NotApplicable,
    Outcome,
    Passed,
)

# Keypoint i is found in place of k if its mean similarity to k exceeds that of k itself by more than this.
CONFUSED = 0.05
# Images with swapped colors are better if OKS rises by more than both this and this many standard errors.
RECOLOURED, COLOUR_ERRORS = 0.01, 4.0
# A constant offset fails above both this many pixels and this many standard errors. Good methods have up to
# 0.25 px.
OFFSET_PX, OFFSET_ERRORS = 0.35, 4.0
# Poses count as rounded if at least this share of their coordinates are whole numbers.
WHOLE = 0.99
_DRAWS = 100  # bootstrap resamples for standard errors

_WHY_ORDER = (
    "every keypoint in another one's place is lost to the score, and the pose looks plausible to the eye."
)
_WHY_COLOUR = "a network that sees red as blue works, only worse; nothing else shows it."
_WHY_OFFSET = (
    "a constant offset costs AP on small people and at strict thresholds, and looks like a weaker method."
)
_WHY_WHOLE = "half a pixel of rounding costs AP on small people and at strict thresholds."


def check_keypoint_order(subject: AnnotatedSubject) -> Outcome:
    """Check that every column of the poses is the right keypoint."""
    matched = subject.matched
    names = subject.dataset.keypoints
    confusion = matched.confusion
    enough = matched.labelled.sum(axis=0) >= 20
    others = confusion.copy()
    np.fill_diagonal(others, -1.0)
    own, best = confusion.diagonal(), others.argmax(axis=0)
    wrong = {
        k: int(best[k]) for k in range(names.count) if enough[k] and others[best[k], k] > own[k] + CONFUSED
    }
    if wrong:
        return Failed("each keypoint in its own column", _in_words(wrong, names), _WHY_ORDER)
    return Passed(f"{int(enough.sum())} keypoints of {_scope(matched, subject)}; {_agreement(matched)}")


def _in_words(wrong: dict[int, int], names: KeypointSet) -> str:
    if all(names.flip_order[wanted] == found for wanted, found in wrong.items()):
        what = "left and right are exchanged"
    elif all(found == names.count - 1 - wanted for wanted, found in wrong.items()):
        what = "the keypoints are in reverse order"
    else:
        what = "keypoints are in another order"
    examples = ", ".join(
        f"{names.keypoints[found]} is where {names.keypoints[wanted]} is annotated"
        for wanted, found in list(wrong.items())[:3]
    )
    return f"{what}: {examples} ({len(wrong)} of {names.count} keypoints)"


def check_colours(subject: AnnotatedSubject) -> Outcome:
    """Check that swapping red and blue does not improve the poses."""
    before = subject.matched.person_similarity
    after = subject.with_channels_swapped.person_similarity
    shared = sorted(before.keys() & after.keys())
    if len(shared) < 20:
        return Passed("with red and blue exchanged almost no person is found")
    gains = np.array([after[person] - before[person] for person in shared])
    gain, error = float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
    if gain > max(RECOLOURED, COLOUR_ERRORS * error):
        return Failed(
            "poses that are best in the image as it is, RGB",
            f"with red and blue exchanged OKS is higher by {gain:.3f} (standard error {error:.3f}, "
            f"{len(shared)} persons): the network seems to be given BGR",
            _WHY_COLOUR,
        )
    if abs(gain) < RECOLOURED:
        return Passed(f"exchanged colours change OKS by {gain:+.3f} only, which is inconclusive")
    return Passed(f"with red and blue exchanged OKS changes by {gain:+.3f}")


def check_offset(subject: AnnotatedSubject) -> Outcome:
    """Check that well placed keypoints have no constant offset from the annotations."""
    matched = _well_placed(subject)
    found, error = _offset(matched)
    limit = np.maximum(OFFSET_PX, OFFSET_ERRORS * error)
    shown = f"({found[0]:+.2f}, {found[1]:+.2f}) px, standard error ({error[0]:.2f}, {error[1]:.2f})"
    if (np.abs(found) > limit).any():
        return Failed(
            "poses without a constant offset from the annotations", f"an offset of {shown}", _WHY_OFFSET
        )
    seen = float(limit.max())
    return Passed(
        f"offset {shown}; more than {seen:.2f} px would have been seen"
        + ("" if seen < 0.5 else ": half a pixel could hide. More images show more")
    )


def check_whole_pixels(subject: AnnotatedSubject) -> Outcome:
    """Check that coordinates are not rounded to whole pixels."""
    found = subject.matched.found
    whole = float((found == np.rint(found)).mean())
    if whole >= WHOLE:
        return Failed(
            "coordinates in fractions of a pixel",
            f"{whole:.0%} of {found.size} are whole numbers",
            _WHY_WHOLE,
        )
    return Passed(f"{whole:.0%} of {found.size} coordinates are whole numbers")


def _well_placed(subject: AnnotatedSubject) -> Matched:
    matched = subject.matched
    if matched.well_placed.sum() < 50:
        raise NotApplicable("fewer than 50 visible keypoints are on their spot; see the check keypoint_order")
    return matched


def _offset(matched: Matched) -> tuple[FloatArray, FloatArray]:
    """The median difference and its standard error, ``(2,)`` pixels each.

    The error combines bootstraps over persons and over keypoint types, because neither the keypoints of one
    person nor the wrists of all persons are independent.
    """
    residuals, good = matched.found - matched.wanted, matched.well_placed
    rng = np.random.default_rng(0)
    persons, kinds = good.shape
    drawn = [_median(residuals[rows], good[rows]) for rows in rng.integers(persons, size=(_DRAWS, persons))]
    others = [
        _median(residuals[:, columns], good[:, columns])
        for columns in rng.integers(kinds, size=(_DRAWS, kinds))
    ]
    spreads = [np.nanstd(values, axis=0) for values in (drawn, others)]
    return _median(residuals, good), np.hypot(*spreads)


def _median(residuals: FloatArray, good: NDArray[np.bool_]) -> FloatArray:
    chosen = residuals[good]
    return np.median(chosen, axis=0) if len(chosen) else np.full(2, np.nan)


def _scope(matched: Matched, subject: AnnotatedSubject) -> str:
    return f"{len(matched.persons)} persons in {len(subject.samples)} images"


def _agreement(matched: Matched) -> str:
    return f"mean OKS {float(np.mean(list(matched.person_similarity.values()))):.2f}"


ANNOTATED_CHECKS: tuple[Check[AnnotatedSubject], ...] = (
    Check("keypoint_order", "is each keypoint what it is called?", check_keypoint_order, _WHY_ORDER),
    Check("colours", "does the network see RGB?", check_colours, _WHY_COLOUR),
    Check("offset", "are poses where the annotations are?", check_offset, _WHY_OFFSET),
    Check("whole_pixels", "do coordinates have fractions?", check_whole_pixels, _WHY_WHOLE),
)


def unseen(only: str | None) -> Iterator[CheckResult]:
    """Report these checks as inapplicable when there are no annotated images."""
    reason = "drawn people do not show it; see --dataset NAME --root FOLDER, with trained --weights"
    for check in ANNOTATED_CHECKS:
        if only in (None, check.name):
            yield CheckResult(check.name, check.question, Inapplicable(reason))
