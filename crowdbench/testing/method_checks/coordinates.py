"""Check that poses are in pixels of the original image, by transforming the image.

A constant error e of coordinates is invisible in a moved image, shows (k - 1) times in one enlarged k times,
and twice in a mirrored one. In the mirrored image it looks like a property that methods may have: a
flip test on a coarse grid moves poses by a part of a grid cell. So half a pixel is looked for in the enlarged
image, where the two differ, and the mirrored one is asked for gross errors only.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.method import NetworkMethod
from crowdbench.api.types import FloatArray
from crowdbench.testing.outcome import Check, Failed, Inapplicable, Outcome, Passed
from crowdbench.testing.pose_matching import Followed, follow, follow_free
from crowdbench.testing.scenes import Scene
from crowdbench.testing.subject import LITTLE, MOVED, MethodSubject, keypoints_of

# An answer counts as the same up to this part of a person's height.
REACH = 0.1
# Below this share of keypoints that follow, nothing can be said but that they do not all do something else.
SEEN = 0.25
# A flip test makes a method symmetric to the last bits; an untrained one is near to symmetry by chance.
EXACT_PX = 0.5
# A systematic error is one of more than so many pixels of the original image, and standard errors.
TOLERATED_PX = 0.2
ERRORS = 6.0  # of eight persons' mean
# Of an image without boxes the rim is left out, where only one of two windows shows a whole person.
_RIM = 48

_WHY_SPACE = (
    "scores compare poses with annotations in pixels of the original image; in any other space every "
    "number is wrong, and none of them says so."
)
_WHY_HALF = (
    "a constant offset costs AP on small people and at strict thresholds, and looks like a weaker method."
)


def _followed(
    subject: MethodSubject,
    before: Scene,
    after: Scene,
    expected: Callable[[FloatArray], FloatArray],
) -> Followed:
    reach = REACH * float(np.median(after.boxes[:, 3]))
    if subject.has_boxes:
        centres = after.boxes[:, :2] + (after.boxes[:, 2:] - 1) / 2
        return follow(subject.persons(before), subject.persons(after), expected, centres, reach)
    count = subject.method.keypoints.count
    old, new = (keypoints_of(subject.poses(scene), count)[..., :2] for scene in (before, after))
    shown = _well_inside(old, before) & _well_inside(expected(old), after)
    centre = np.array([after.width - 1, after.height - 1]) / 2
    return follow_free(old[shown], new, expected, centre, reach)


def _well_inside(poses: FloatArray, scene: Scene) -> NDArray[np.bool_]:
    middles = np.median(poses, axis=1)
    size = np.array([scene.width, scene.height])
    return np.asarray(((middles >= _RIM) & (middles < size - _RIM)).all(axis=1))


def _wrong_space(followed: Followed, expected: str) -> Failed | None:
    """Keypoints that agree on something else than what is expected."""
    if not followed.scope:
        return None
    if followed.unmoved > followed.share and followed.unmoved >= 0.5:
        came = (
            f"{followed.unmoved:.0%} of {followed.scope} keypoints are at the coordinates that they had in "
            "the original image, as in the space of a crop or of a heatmap"
        )
        return Failed(expected, came, _WHY_SPACE)
    shared, share = followed.elsewhere() if len(followed.residuals) else (np.zeros(2), 0.0)
    if share >= 0.5 and np.abs(shared).max() > followed.reach:
        came = f"{share:.0%} of {followed.scope} keypoints are off by the same {_shown(shared)} px"
        return Failed(expected, came, _WHY_SPACE)
    if followed.share < SEEN and len(followed.residuals):
        off, moved = (float(np.median(np.abs(d))) for d in (followed.residuals, followed.moves))
        if moved < off:
            came = (
                f"keypoints moved by {moved:.1f} px and are {off:.1f} px from where they should be (medians)"
            )
            return Failed(expected, came, _WHY_SPACE)
    return None


def _stray(subject: MethodSubject) -> float:
    """How far, in pixels, poses stray systematically where they should not: what cannot be measured.

    With random weights, a network that sees the whole image keeps to its own grid when the image moves by
    whole pixels, and its peaks move when the image is less sharp. Methods that find persons do neither.
    """
    strays = [0.0]
    for changed, expected in (
        (subject.little_moved, lambda p: p + LITTLE),
        (subject.softened, lambda p: p),
    ):
        followed = _followed(subject, subject.ordinary, changed, expected)
        if followed.share < SEEN:
            return float("inf")
        strays.append(float(np.abs(followed.systematic()[0]).max()))
    return max(strays)


def check_shift(subject: MethodSubject) -> Outcome:
    """Another window of the same drawing: poses move with what is in it."""
    followed = _followed(subject, subject.ordinary, subject.moved, lambda p: p + MOVED)
    wanted = f"poses that move by {_shown(MOVED)} px with the picture and its boxes"
    wrong = _wrong_space(followed, wanted)
    if wrong:
        return wrong
    if followed.share < SEEN:
        return Passed(_too_few(subject, followed))
    found, error = followed.systematic()
    stray = _stray(subject)
    if (np.abs(found) > np.maximum(TOLERATED_PX + 2 * stray, ERRORS * error)).any():
        came = f"a systematic difference of {_shown(found)} px (standard error {_shown(error)})"
        return Failed(wanted, came, _WHY_SPACE)
    return Passed(f"{_precision(followed)}; systematic difference {_shown(found)} px")


def check_scale(subject: MethodSubject) -> Outcome:
    """The image enlarged by a whole factor: poses grow with it, and a constant offset shows.

    A box is a range of whole pixels to some and a continuous one to others, and an enlarged box differs
    between the two by half a pixel. A method that works in parts of its box passes if it fits either.
    """
    outcome = _scaled(subject, subject.enlarged)
    if isinstance(outcome, Failed) and subject.has_boxes:
        otherwise = _scaled(subject, subject.enlarged_continuously)
        return outcome if isinstance(otherwise, Failed) else otherwise
    return outcome


def _scaled(subject: MethodSubject, enlarged: Scene) -> Outcome:
    factor = subject.factor
    followed = _followed(subject, subject.ordinary, enlarged, lambda p: factor * p + (factor - 1) / 2)
    wanted = f"poses at {factor} x + {(factor - 1) / 2:g} in the picture enlarged {factor} times"
    wrong = _wrong_space(followed, wanted)
    if wrong:
        return wrong
    if followed.share < SEEN:
        return Passed(_too_few(subject, followed))
    found, error = (values / (factor - 1) for values in followed.systematic())
    offset = -found
    limit = np.maximum(TOLERATED_PX + 2 * _stray(subject), ERRORS * error)
    if (np.abs(offset) > limit).any():
        came = (
            f"poses that are off by a constant {_shown(offset)} px in every image "
            f"(standard error {_shown(error)}); (0, 0) is the centre of the top left pixel"
        )
        return Failed(wanted, came, _WHY_HALF)
    visible = float(limit.max())
    precision = (
        f"constant offset {_shown(offset)} px; more than {visible:.2f} px would have been seen"
        if visible < 0.5
        else f"half a pixel cannot be seen with {subject.weights_said}: up to {visible:.1f} px could hide"
    )
    return Passed(f"{_precision(followed)}; {precision}")


def _mirror(subject: MethodSubject) -> Callable[[FloatArray], FloatArray]:
    order = list(subject.method.keypoints.flip_order)
    last = subject.ordinary.width - 1

    def expected(poses: FloatArray) -> FloatArray:
        mirrored: FloatArray = poses[..., order, :] * [-1.0, 1.0] + [last, 0.0]
        return mirrored

    return expected


def check_mirror(subject: MethodSubject) -> Outcome:
    """The mirrored image: x becomes width - 1 - x."""
    followed = _followed(subject, subject.ordinary, subject.mirrored, _mirror(subject))
    wanted = "poses at width - 1 - x in the mirrored picture, left and right keypoints exchanged"
    wrong = _wrong_space(followed, wanted)
    if wrong and subject.weights is None and _looks_at_nothing(subject):
        return Passed(
            f"says nothing: with {subject.weights_said}, keypoints are at one place of every box, whatever "
            "is in it"
        )
    if wrong:
        return wrong
    if followed.share < SEEN:
        return Passed(
            f"says little: {followed.share:.0%} of {followed.scope} keypoints are where symmetry would have "
            f"them, and a method need not be symmetric with {subject.weights_said} and no flip test"
        )
    found, error = followed.systematic()
    return Passed(f"{_precision(followed)}; systematic difference {_shown(found)} ± {_shown(error)} px")


def _looks_at_nothing(subject: MethodSubject) -> bool:
    """Whether most keypoints are at the same place of all boxes, as if a network saw only positions."""
    if not (subject.has_boxes and isinstance(subject.method, NetworkMethod)):
        return False
    scene = subject.ordinary
    pairs = zip(subject.persons(scene), scene.boxes, strict=True)
    places = np.array([(p - box[:2]) / box[2:] for p, box in pairs if p is not None])
    if not len(places):
        return False
    strays = np.abs(places - np.median(places, axis=0)).max(axis=2)  # (persons, K)
    return bool((np.median(strays, axis=0) <= REACH).mean() >= 0.5)


def check_left_right(subject: MethodSubject) -> Outcome:
    """Which of a pair is which: in the mirrored image, and in the drawing where the drawing is found."""
    order = list(subject.method.keypoints.flip_order)
    if order == list(range(len(order))):
        return Inapplicable("the keypoint set has no left and right")
    why = (
        "left and right exchanged leave a pose plausible to the eye and lose every paired keypoint of the "
        "score; a flip test that does not exchange them back is the usual reason."
    )
    exchange = _mirror(subject)
    kept, swapped = _mirrored_shares(subject, exchange, order)
    if kept >= 0.5 and kept > 2 * swapped:
        return Failed(
            "keypoints that change sides in the mirrored picture: the left wrist becomes the right one",
            f"of the paired keypoints {kept:.0%} keep their names and {swapped:.0%} exchange them",
            why,
        )
    right, wrong = _drawn_shares(subject, order)
    if max(right, wrong) >= 0.5 and wrong > right:
        return Failed(
            "left keypoints on the left side of the drawn persons, who face the viewer",
            f"of the paired keypoints {wrong:.0%} are on their partner and {right:.0%} on their own place",
            why,
        )
    if max(right, wrong) >= 0.5:
        return Passed(f"{right:.0%} of the paired keypoints are on their own side of the drawing")
    if max(kept, swapped) >= SEEN:
        return Passed(f"{swapped:.0%} of the paired keypoints exchange names in the mirrored picture")
    return Inapplicable(
        f"with {subject.weights_said} the method neither finds the drawn persons nor is symmetric"
    )


def _mirrored_shares(
    subject: MethodSubject, exchange: Callable[[FloatArray], FloatArray], order: list[int]
) -> tuple[float, float]:
    """Of the paired keypoints that are apart, how many keep their name when mirrored and how many do not."""
    shares = []
    for expected in (lambda p: exchange(p)[..., order, :], exchange):
        followed = _followed(subject, subject.ordinary, subject.mirrored, expected)
        # Where both of a pair are expected in one place, either name would do.
        partners = followed.wanted.reshape(-1, len(order), 2)[:, order].reshape(-1, 2)
        apart = np.linalg.norm(followed.wanted - partners, axis=1) > 2 * followed.reach
        exact: NDArray[np.bool_] = np.asarray((np.abs(followed.residuals) <= EXACT_PX).all(axis=1))
        shares.append(float(exact[apart].mean()) if apart.sum() >= len(order) else 0.0)
    return shares[0], shares[1]


def _drawn_shares(subject: MethodSubject, order: list[int]) -> tuple[float, float]:
    """Of the paired keypoints as drawn: how many poses have there, and how many have their partner there."""
    scene = subject.ordinary
    reach = REACH / 2 * float(np.median(scene.boxes[:, 3]))
    paired = np.array(order) != np.arange(len(order))
    found = keypoints_of(subject.poses(scene), len(order))[..., :2]
    shares = []
    for names in (np.arange(len(order)), np.array(order)):
        distances = np.linalg.norm(scene.points[:, None] - found[None][..., names, :], axis=3)[..., paired]
        shares.append(float((distances.min(axis=1) <= reach).mean()))
    return shares[0], shares[1]


def _precision(followed: Followed) -> str:
    return f"{followed.share:.0%} of {followed.scope} keypoints follow"


def _too_few(subject: MethodSubject, followed: Followed) -> str:
    return (
        f"seen coarsely only: {followed.share:.0%} of {followed.scope} keypoints follow exactly with "
        f"{subject.weights_said}, and half a pixel cannot be seen; none of the usual wrong spaces fits better"
    )


def _shown(values: object) -> str:
    x, y = np.asarray(values, dtype=float)
    return f"({x:.3g}, {y:.3g})"


CHECKS = (
    Check(
        "shift",
        "do poses move with the picture, in pixels of the original image?",
        check_shift,
        _WHY_SPACE,
    ),
    Check(
        "scale",
        "do poses grow with the picture, to a fraction of a pixel?",
        check_scale,
        _WHY_SPACE,
    ),
    Check("mirror", "are poses mirrored with the picture?", check_mirror, _WHY_SPACE),
    Check("left_right", "are left and right keypoints distinguished?", check_left_right, _WHY_SPACE),
)
