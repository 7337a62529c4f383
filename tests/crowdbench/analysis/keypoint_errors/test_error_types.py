"""The rules by which a keypoint is good, jittered, inverted, swapped or missed."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crowdbench.analysis.keypoint_errors.error_types import (
    KINDS,
    LETTERS,
    UNLABELLED,
    KeypointKinds,
    kinds_of,
)
from crowdbench.api.types import KeypointSet

# With these, a keypoint's similarity at a distance of d pixels is exp(-d^2 / 200) for a person of area 10^4.
SIGMA, AREA = 0.05, 10_000.0
LAYOUT = KeypointSet(
    "five", ("nose", "left_eye", "right_eye", "left_ear", "right_ear"), ((1, 2), (3, 4)), (), (SIGMA,) * 5, ()
)
NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = range(5)


def distance(similarity: float, area: float = AREA) -> float:
    return float(np.sqrt(-2 * np.log(similarity) * area) * 2 * SIGMA)


def person(*points: tuple[float, float] | None) -> list[list[float]]:
    """Labelled keypoints; None is one that is not."""
    return [[0, 0, 0] if point is None else [*point, 2] for point in points]


HERE = person((100, 100), (200, 100), (300, 100), (400, 100), (500, 100))
THERE = person((100, 600), (200, 600), (300, 600), (400, 600), (500, 600))


def found(
    pose: list[list[float]],
    *others: list[list[float]],
    truth: list[list[float]] = HERE,
    areas: tuple[float, ...] | None = None,
) -> list[str | None]:
    """Kinds of a pose that is matched with the first of some persons in one image."""
    truths = np.array([truth, *others], dtype=float)
    kinds = kinds_of(
        np.array([pose], dtype=float),
        np.array([0]),
        truths,
        np.array(areas or (AREA,) * len(truths)),
        np.ones(len(truths), dtype=np.int64),
        LAYOUT,
    )
    return [None if code == UNLABELLED else KINDS[code] for code in kinds.codes[0]]


def moved(keypoint: int, x: float, y: float, pose: list[list[float]] = HERE) -> list[list[float]]:
    return [[x, y, 1] if index == keypoint else point for index, point in enumerate(pose)]


@pytest.mark.parametrize(
    ("similarity", "kind"),
    [(1.0, "good"), (0.86, "good"), (0.84, "jitter"), (0.51, "jitter"), (0.49, "miss"), (1e-9, "miss")],
)
def test_how_near_its_own_place_a_keypoint_is_decides(similarity: float, kind: str) -> None:
    assert found(moved(NOSE, 100 + distance(similarity), 100))[NOSE] == kind


@pytest.mark.parametrize(("similarity", "kind"), [(1.0, "inversion"), (0.51, "inversion"), (0.49, "miss")])
def test_a_keypoint_at_its_mirror_is_an_inversion(similarity: float, kind: str) -> None:
    kinds = found(moved(LEFT_EYE, 300, 100 + distance(similarity)))
    assert kinds == ["good", kind, "good", "good", "good"]


@pytest.mark.parametrize("target", [LEFT_EYE, RIGHT_EYE])
@pytest.mark.parametrize(("similarity", "kind"), [(1.0, "swap"), (0.51, "swap"), (0.49, "miss")])
def test_a_keypoint_on_another_person_is_a_swap_left_or_right(
    target: int, similarity: float, kind: str
) -> None:
    x, y, _ = THERE[target]
    kinds = found(moved(LEFT_EYE, x, y + distance(similarity)), THERE)
    assert kinds == ["good", kind, "good", "good", "good"]


def test_a_keypoint_on_another_kind_of_keypoint_is_a_miss() -> None:
    assert found(moved(LEFT_EYE, 400, 100), THERE)[LEFT_EYE] == "miss"
    assert found(moved(LEFT_EYE, 400, 600), THERE)[LEFT_EYE] == "miss"


def test_a_keypoint_without_a_partner_cannot_be_inverted() -> None:
    assert "inversion" not in {found(moved(NOSE, x, 100))[NOSE] for x in (200, 300, 400, 500)}


def test_a_mirror_that_is_not_labelled_is_no_place_to_be() -> None:
    truth = person((100, 100), (200, 100), None, (400, 100), (500, 100))
    assert found(moved(LEFT_EYE, 300, 100), truth=truth) == ["good", "miss", None, "good", "good"]


def test_nothing_is_said_of_a_keypoint_that_is_not_labelled() -> None:
    truth = person(None, (200, 100), (300, 100), (400, 100), (500, 100))
    assert found(HERE, THERE, truth=truth) == [None, "good", "good", "good", "good"]


def test_similarity_to_another_person_is_by_that_persons_size() -> None:
    x, y, _ = THERE[NOSE]
    pose = moved(NOSE, x, y + distance(0.6))
    assert found(pose, THERE)[NOSE] == "swap"
    assert found(pose, THERE, areas=(AREA, AREA / 4))[NOSE] == "miss"


def test_of_equal_similarities_the_own_place_comes_first_then_another_person_then_the_mirror() -> None:
    same_place = person(*[(100, 100)] * 5)
    assert found(same_place, same_place, truth=same_place) == ["good"] * 5
    left_eye_on_my_right_eye = person(None, (300, 100), None, None, None)
    assert found(moved(LEFT_EYE, 300, 100), left_eye_on_my_right_eye)[LEFT_EYE] == "swap"
    right_eye_on_my_right_eye = person(None, None, (300, 100), None, None)
    assert found(moved(LEFT_EYE, 300, 100), right_eye_on_my_right_eye)[LEFT_EYE] == "inversion"


def test_an_absurd_coordinate_is_a_miss() -> None:
    assert found(moved(NOSE, 1e200, -1e200), THERE)[NOSE] == "miss"


def test_a_person_without_size_is_met_only_in_its_very_place() -> None:
    assert found(HERE, areas=(0.0,)) == ["good"] * 5
    assert found(moved(NOSE, 101, 100), areas=(0.0,))[NOSE] == "miss"


def test_persons_of_other_images_are_out_of_reach() -> None:
    pose = np.array([moved(LEFT_EYE, 200, 600)], dtype=float)
    for image, kind in ((1, "swap"), (2, "miss")):
        kinds = kinds_of(
            pose,
            np.array([1]),
            np.array([THERE, HERE], dtype=float),
            np.full(2, AREA),
            np.array([image, 1]),
            LAYOUT,
        )
        assert KINDS[kinds.codes[0, LEFT_EYE]] == kind


def test_letters_stand_for_kinds() -> None:
    codes = np.array([[*range(5)], [UNLABELLED] * 5], dtype=np.int8)
    assert KeypointKinds(codes, np.zeros((2, 5))).letters() == [LETTERS, "-----"]


class Crowd:
    """Persons of some images, all keypoints in different places, and a pose for some of them."""

    def __init__(self, persons: int, images: int, seed: int, labelled: float) -> None:
        random = np.random.default_rng(seed)
        # Of different places none is as near to a keypoint as that itself, which is what a tie would be.
        places = random.permutation(400 * 400)[: persons * 5]
        visible = random.random((persons, 5)) < labelled
        self.truth = np.zeros((persons, 5, 3))
        self.truth[..., 0] = (places % 400).reshape(persons, 5)
        self.truth[..., 1] = (places // 400).reshape(persons, 5)
        self.truth[..., 2] = visible
        self.truth[~visible] = 0
        self.areas = random.integers(1, 100_000, persons).astype(float)
        self.images = random.integers(1, images + 1, persons)
        self.matched = random.permutation(persons)[: random.integers(1, persons + 1)]
        self.poses = random.integers(-50, 450, (len(self.matched), 5, 3)).astype(float)

    def codes(
        self,
        poses: NDArray[np.float64],
        shift: tuple[float, float] = (0, 0),
        order: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int8]:
        """Kinds of poses, all shifted together, with the persons in another order."""
        truth, offset = self.truth.copy(), np.array([*shift, 0])
        truth[truth[..., 2] > 0] += offset
        order = np.arange(len(truth)) if order is None else order
        return kinds_of(
            poses + offset,
            np.argsort(order)[self.matched],
            truth[order],
            self.areas[order],
            self.images[order],
            LAYOUT,
        ).codes


CROWDS = st.builds(
    Crowd, st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.6, 1.0])
)


@settings(deadline=None)
@given(CROWDS)
def test_kinds_partition_the_labelled_keypoints_of_matched_persons(crowd: Crowd) -> None:
    codes = crowd.codes(crowd.poses)
    labelled = crowd.truth[crowd.matched][..., 2] > 0
    assert ((codes >= 0) == labelled).all()
    assert sum((codes == code).sum() for code in range(len(KINDS))) == labelled.sum()


@settings(deadline=None)
@given(CROWDS)
def test_perfect_predictions_are_all_good(crowd: Crowd) -> None:
    codes = crowd.codes(crowd.truth[crowd.matched])
    assert set(codes[codes != UNLABELLED]) <= {KINDS.index("good")}


@settings(deadline=None)
@given(CROWDS)
def test_predictions_with_left_and_right_exchanged_are_inversions_where_the_mirror_is_labelled(
    crowd: Crowd,
) -> None:
    order = np.array(LAYOUT.flip_order)
    truth = crowd.truth[crowd.matched]
    codes = crowd.codes(truth[:, order])
    both = (truth[..., 2] > 0) & (truth[:, order, 2] > 0)
    both[:, NOSE] = False
    assert (codes[both] == KINDS.index("inversion")).all()
    assert (codes[:, NOSE] != KINDS.index("inversion")).all()


@settings(deadline=None)
@given(CROWDS, st.integers(-10_000, 10_000), st.integers(-10_000, 10_000))
def test_shifting_everything_changes_nothing(crowd: Crowd, x: int, y: int) -> None:
    assert np.array_equal(crowd.codes(crowd.poses), crowd.codes(crowd.poses, (x, y)))


@settings(deadline=None)
@given(CROWDS, st.randoms(use_true_random=False))
def test_the_order_of_persons_changes_nothing(crowd: Crowd, random: Random) -> None:
    order = np.array(random.sample(range(len(crowd.truth)), len(crowd.truth)))
    assert np.array_equal(crowd.codes(crowd.poses), crowd.codes(crowd.poses, order=order))
