"""Matches are those of the scoring engines: the AP that follows from them is theirs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.reference.scoring_protocols import COCO, CROWD, GOLDEN_SETS, OF_NAME

from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.errors import UnknownNameError
from crowdbench.scoring.annotations import Images, Persons
from crowdbench.scoring.engines import load_engine
from crowdbench.scoring.matching import Matches, match
from crowdbench.scoring.problem import Problem, read_problem

AREA = 10000.0


def people(
    keypoints: np.ndarray, images: list[int], protocol: ScoringProtocol = CROWD, count: int = 1
) -> Problem:
    """Persons on images 1 to `count`, each in a box of 100 by 100, and no predictions."""
    return Problem(
        protocol=protocol,
        images=Images(list(range(1, count + 1)), np.linspace(0, 1, count)),
        persons=Persons(
            ids=list(range(len(images))),
            image_ids=list(images),
            keypoints=[one.ravel().tolist() for one in keypoints],
            boxes=[[0.0, 0.0, 100.0, 100.0]] * len(images),
            areas=np.full(len(images), AREA),
            num_keypoints=np.full(len(images), protocol.keypoints.count),
            is_crowd=np.zeros(len(images), dtype=bool),
        ),
        person_images=np.array(images, dtype=np.int64),
        keypoints=[],
        scores=np.empty(0),
        boxes=None,
        prediction_images=np.empty(0, dtype=np.int64),
        warnings=(),
    )


def finding(problem: Problem, found: list[np.ndarray], scores: list[float], images: list[int]) -> Problem:
    """The same with predictions."""
    return replace(
        problem,
        keypoints=[one.ravel().tolist() for one in found],
        scores=np.array(scores),
        prediction_images=np.array(images),
    )


def somebody(x: float = 50.0) -> np.ndarray:
    """14 keypoints in one place, all visible."""
    return np.tile([x, 50.0, 2.0], (14, 1))


def statistics(problem: Problem, engine: str = "pycocotools") -> dict[str, float]:
    return load_engine(engine).statistics(problem)


def agree(found: Matches, expected: dict[str, float]) -> None:
    """AP over all images, at two thresholds and in every crowding level."""
    assert found.average_precision() == pytest.approx(expected["AP"], abs=1e-9)
    for name, threshold in (("AP50", 0.5), ("AP75", 0.75)):
        assert found.precision_recall(threshold)[1].mean() == pytest.approx(expected[name], abs=1e-9)
    for level in found.levels:
        ap = found.of_level(level).average_precision()
        assert ap == pytest.approx(expected[f"AP_{level}"], abs=1e-9)


@pytest.mark.parametrize(("goldens", "name"), GOLDEN_SETS, indirect=["goldens"])
def test_ap_from_matches_is_that_of_the_official_tool(name: str, goldens: Path) -> None:
    folder = goldens / "metrics"
    drawn_from = json.loads((folder / "expected.json").read_text())[name]
    protocol = OF_NAME[drawn_from["protocol"]]
    expected = dict(zip(protocol.statistics, drawn_from["authority_stats"], strict=True))
    unrounded = [-1 if ap is None else ap for ap in drawn_from.get("authority_split_ap_unrounded", [])]
    expected |= {f"AP_{n}": ap for (n, _, _), ap in zip(protocol.crowding_splits, unrounded, strict=True)}
    agree(match(read_problem(folder / drawn_from["preds"], folder / drawn_from["gt"], protocol)), expected)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32),
    st.sampled_from(["crowd_small", "crowd_edges", "coco_small", "ochuman_small"]),
    st.sampled_from([0.0, 0.02, 0.2]),
    st.sampled_from([None, 0.5, 0.1]),
    st.floats(0, 0.3),
)
def test_ap_from_matches_is_that_of_the_engines_on_disturbed_files(
    goldens: Path, seed: int, name: str, noise: float, step: float | None, share: float
) -> None:
    """People become groups, lose their labels or are ignored; predictions move, repeat and tie."""
    folder = goldens / "metrics"
    drawn_from = json.loads((folder / "expected.json").read_text())[name]
    protocol = OF_NAME[drawn_from["protocol"]]
    problem = read_problem(folder / drawn_from["preds"], folder / drawn_from["gt"], protocol)
    rng = np.random.default_rng(seed)
    persons, count = problem.persons, len(problem.person_images)
    truth = np.array(persons.keypoints).reshape(count, -1, 3)
    truth[rng.random(truth.shape[:2]) < share, 2] = 0
    truth[rng.random(count) < share / 4, :, 2] = 0
    copies = rng.choice(len(problem.scores), rng.integers(1, 2 * len(problem.scores)))
    # Predictions that are exactly a person, so that equal similarities come about too.
    found = np.array(problem.keypoints).reshape(len(problem.scores), -1, 3)[copies]
    images = problem.prediction_images[copies]
    exact = rng.choice(count, rng.integers(1, 60))
    found, images = np.concatenate([found, truth[exact]]), np.append(images, problem.person_images[exact])
    found[..., :2] += rng.normal(0, noise * 100, found[..., :2].shape)
    scores = rng.random(len(found))
    disturbed = replace(
        problem,
        persons=replace(
            persons,
            keypoints=truth.reshape(count, -1).tolist(),
            areas=np.where(rng.random(count) < share / 4, 4e10, persons.areas),
            num_keypoints=np.where(rng.random(count) < share, 0, persons.num_keypoints),
            is_crowd=rng.random(count) < share / 2,
        ),
        keypoints=found.reshape(len(found), -1).tolist(),
        scores=scores if step is None else np.round(scores / step) * step,
        boxes=None if seed % 2 else rng.uniform(1, 2e5, (len(found), 4)).tolist(),
        prediction_images=images,
    )
    agree(match(disturbed), statistics(disturbed))
    agree(match(disturbed), statistics(disturbed, "hotcoco"))


def test_a_better_scored_prediction_chooses_first() -> None:
    near, far = somebody(50), somebody(53)
    problem = finding(people(np.stack([somebody(50)]), [1]), [near, far], [0.5, 0.9], [1, 1])
    found = match(problem)
    assert found.predictions.tolist() == [1, 0]
    assert found.taken[0].tolist() == [0, -1]
    assert found.true[0].tolist() == [True, False]
    assert found.false[0].tolist() == [False, True]


def test_of_equally_similar_people_the_later_is_taken() -> None:
    problem = finding(people(np.stack([somebody(), somebody()]), [1, 1]), [somebody()], [1.0], [1])
    assert (match(problem).taken == 1).all()


def test_a_group_is_taken_any_number_of_times_and_counts_neither_way() -> None:
    alone = people(np.stack([somebody(), somebody(5000)]), [1, 1])
    group = replace(alone, persons=replace(alone.persons, is_crowd=np.array([True, False])))
    found = match(finding(group, [somebody()] * 3, [1.0, 0.9, 0.8], [1, 1, 1]))
    assert (found.taken == 0).all()
    assert found.ignored.all()
    assert found.counted.tolist() == [False, True]
    assert found.average_precision() == 0


def test_a_person_who_counts_is_preferred_to_a_nearer_one_who_does_not() -> None:
    two = people(np.stack([somebody(52), somebody(50)]), [1, 1])
    one = replace(two, persons=replace(two.persons, num_keypoints=np.array([14, 0])))
    assert match(finding(one, [somebody(50)], [1.0], [1])).taken[0, 0] == 0


def test_the_twenty_best_predictions_of_an_image_count() -> None:
    one = people(np.stack([somebody()]), [1])
    strangers = [somebody(9000)] * 20
    late = finding(one, [*strangers, somebody()], [*[0.9] * 20, 0.1], [1] * 21)
    early = finding(one, [somebody(), *strangers], [0.95, *[0.9] * 20], [1] * 21)
    assert len(match(late).images) == len(match(early).images) == 20
    assert match(late).average_precision() == 0
    assert match(early).average_precision() == pytest.approx(1)


@pytest.mark.parametrize("protocol", [CROWD, COCO], ids=["crowdpose", "coco"])
def test_without_predictions_ap_is_0_and_without_people_it_is_minus_1(protocol: ScoringProtocol) -> None:
    count = protocol.keypoints.count
    nobody = people(np.empty((0, count, 3)), [], protocol)
    somebody_is_there = people(np.full((1, count, 3), 2.0), [1], protocol)
    assert match(somebody_is_there).average_precision() == 0
    assert match(nobody).average_precision() == -1
    assert set(match(nobody).precision_recall(0.5)[1]) == {-1.0}
    of_nobody = finding(nobody, [np.full((count, 3), 2.0)], [1.0], [1])
    assert match(of_nobody).average_precision() == -1
    assert match(of_nobody).false.all()


def test_weights_stand_for_images_that_are_there_so_often(goldens: Path) -> None:
    """The engine gets every image as often as it is drawn, under numbers of its own."""
    folder = goldens / "metrics"
    problem = read_problem(folder / "crowd_small_preds.json", folder / "crowdpose_val_small_gt.json", CROWD)
    # Distinct scores: of equal ones a copied image would stand elsewhere in the list than a weighted one.
    distinct = np.random.default_rng(0).permutation(len(problem.scores)) / len(problem.scores)
    problem = replace(problem, scores=distinct)
    found = match(problem)
    for seed in range(5):
        drawn = np.sort(np.random.default_rng(seed).integers(100, size=100))
        weights = np.bincount(drawn, minlength=100)
        expected = statistics(repeated(problem, drawn), "hotcoco")
        assert found.average_precision(weights) == pytest.approx(expected["AP"], abs=1e-9)
        for position, level in enumerate(found.levels):
            inside = weights * (found.image_levels == position)
            assert found.average_precision(inside) == pytest.approx(expected[f"AP_{level}"], abs=1e-9)


def repeated(problem: Problem, drawn: np.ndarray) -> Problem:
    """A problem with the images of a draw, positions from 0, as images of their own."""
    persons = [np.flatnonzero(problem.person_images == image + 1) for image in drawn]
    found = [np.flatnonzero(problem.prediction_images == image + 1) for image in drawn]
    of_persons, of_found = np.concatenate(persons), np.concatenate(found)
    drawn_from = problem.persons
    assert problem.images.crowd_index is not None
    return replace(
        problem,
        images=Images(list(range(len(drawn))), problem.images.crowd_index[drawn]),
        persons=Persons(
            ids=list(of_persons),
            image_ids=list(of_persons),
            keypoints=[drawn_from.keypoints[i] for i in of_persons],
            boxes=[drawn_from.boxes[i] for i in of_persons],
            areas=drawn_from.areas[of_persons],
            num_keypoints=drawn_from.num_keypoints[of_persons],
            is_crowd=drawn_from.is_crowd[of_persons],
        ),
        person_images=np.repeat(np.arange(1, len(drawn) + 1), [len(one) for one in persons]),
        keypoints=[problem.keypoints[i] for i in of_found],
        scores=problem.scores[of_found],
        prediction_images=np.repeat(np.arange(1, len(drawn) + 1), [len(one) for one in found]),
    )


def test_a_level_holds_the_images_of_its_crowd_index_and_all_that_is_on_them(goldens: Path) -> None:
    folder = goldens / "metrics"
    found = match(read_problem(folder / "crowd_edges_preds.json", folder / "crowdpose_edges_gt.json", CROWD))
    hard = found.of_level("hard")
    assert found.crowd_index is not None
    assert hard.crowd_index is not None
    assert (hard.crowd_index >= 0.8).all()
    assert len(hard.image_ids) == (found.crowd_index >= 0.8).sum()
    ids = np.array(found.image_ids)
    inside = np.isin(ids[found.images], hard.image_ids)
    assert hard.predictions.tolist() == found.predictions[inside].tolist()
    assert [hard.image_ids[i] for i in hard.images] == ids[found.images[inside]].tolist()
    assert (hard.image_levels == found.levels.index("hard")).all()
    # A prediction's person is the same one, under the number it has here.
    whole = np.flatnonzero(np.isin(ids[found.person_images], hard.image_ids))
    took = hard.taken >= 0
    assert (whole[hard.taken[took]] == found.taken[:, inside][took]).all()
    with pytest.raises(UnknownNameError, match="easy, hard, medium"):
        found.of_level("harder")


def test_a_curve_at_no_threshold_of_the_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match="0.6|thresholds are"):
        match(people(np.stack([somebody()]), [1])).precision_recall(0.61)
