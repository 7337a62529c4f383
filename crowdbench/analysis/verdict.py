"""The conclusion of a comparison, as text."""

from collections.abc import Sequence

from crowdbench.analysis.bootstrap import LEVEL, Difference, Differences


def verdict(first: str, second: str, images: int, found: Differences) -> str:
    """State what can be concluded from a comparison.

    Args:
        first, second: the names of the two.
        images: the number of images.
        found: the differences. The p-values of crowding levels are multiplied by their number (Bonferroni).
    """
    if found.overall.difference is None:
        return "Nothing may be concluded: there are no persons on these images."
    if found.overall.p is None:
        return f"Nothing may be concluded: {images} images are too few to say anything about others."
    words = [_sentence(first, second, images, found.overall)]
    tested = {name: one for name, one in found.levels.items() if one.p is not None}
    shown = {name: one.difference or 0.0 for name, one in tested.items() if is_significant(one, len(tested))}
    for better, worse, sign in ((first, second, 1), (second, first, -1)):
        ahead = [name for name, by in shown.items() if sign * by > 0]
        if ahead:
            words.append(f"By crowding, {better} is shown to be ahead of {worse} on {_listed(ahead)}.")
    if tested and not shown and is_significant(found.overall):
        words.append("No crowding level by itself shows a difference.")
    return " ".join(words)


def is_significant(result: Difference, tests: int = 1) -> bool:
    """Whether a difference is significant.

    Args:
        result: the difference.
        tests: the number of differences tested, for Bonferroni's correction.
    """
    return (
        result.p is not None
        and result.low is not None
        and result.high is not None
        and result.p * tests < 1 - LEVEL
        and not result.low <= 0 <= result.high
    )


def _sentence(first: str, second: str, images: int, found: Difference) -> str:
    assert found.difference is not None
    assert found.low is not None
    assert found.high is not None
    by, low, high = (100 * number for number in (found.difference, found.low, found.high))
    if by == low == high == 0:
        return f"Nothing may be concluded: {first} and {second} have the same AP on every choice of images."
    better, worse = first, second
    if by < 0:
        better, worse, by, low, high = second, first, -by, -high, -low
    evidence = f"{100 * LEVEL:g} % interval {low:.1f} to {high:.1f}, {_equation(found.p)}"
    if is_significant(found):
        return (
            f"{better} is better than {worse} by {by:.1f} AP ({evidence}): more than the choice of these "
            f"{images} images explains."
        )
    return (
        f"Nothing may be concluded: {better} is {by:.1f} AP ahead of {worse} on these {images} images, but "
        f"other images of the same kind may well show the contrary ({evidence})."
    )


def _equation(p: float | None) -> str:
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def p_value(p: float | None) -> str:
    """Format a p-value with its significant digits."""
    if p is None:
        return "-"
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
