"""One sentence: which correction gains most AP."""

from collections.abc import Sequence

from crowdbench.analysis.keypoint_errors.corrections import BACKGROUND, CORRECTIONS, NOT_FOUND, SCORE
from crowdbench.analysis.keypoint_errors.error_types import ERRORS
from crowdbench.analysis.keypoint_errors.result import ErrorSummary

# The source of the gain, and the condition for it.
_WORDS = {
    "miss": ("missed keypoints", "if keypoints that are near no true keypoint were near their own"),
    "swap": ("swaps", "if keypoints on other persons were on their own"),
    "inversion": ("inversions", "if left and right were distinguished"),
    "jitter": ("jitter", "if keypoints near their place were as near as a good one"),
    BACKGROUND: ("background", "if unmatched predictions were not made"),
    NOT_FOUND: ("persons not found", "if persons without a prediction did not count"),
    SCORE: ("scores", "if the scores ranked the poses by how good they are"),
}
# Fewer labeled keypoints allow no statement.
_LEAST_LABELLED = 20


def advice(whole: ErrorSummary, keypoints: Sequence[str]) -> str:
    """Name the correction that alone gains most.

    Args:
        whole: the summary of all images.
        keypoints: keypoint names, in the order of the counts.
    """
    gains = {name: gain for name in CORRECTIONS if (gain := whole.gain(name)) is not None}
    if not gains:
        return "There is no person to find, so there is nothing to gain."
    best = max(gains, key=lambda name: gains[name])
    if round(100 * gains[best], 1) <= 0:
        return f"Nothing that is corrected alone would raise AP above {100 * whole.ap:.1f}."
    noun, condition = _WORDS[best]
    return (
        f"The largest gain is in {noun}: AP would rise from {100 * whole.ap:.1f} to "
        f"{100 * whole.alone[best]:.1f} {condition}{_where(whole, best, keypoints)}."
    )


def _where(whole: ErrorSummary, kind: str, keypoints: Sequence[str]) -> str:
    """Name the keypoint that has a kind of error most often."""
    if kind not in ERRORS:
        return ""
    labelled = [sum(counts) for counts in zip(*whole.kinds.values(), strict=True)]
    shares = {
        name: count / of
        for name, count, of in zip(keypoints, whole.kinds[kind], labelled, strict=True)
        if of >= _LEAST_LABELLED
    }
    if not shares:
        return ""
    worst = max(shares, key=lambda name: shares[name])
    return f"; most often at {worst} ({100 * shares[worst]:.0f} % of those labelled)"
