"""Intervals hold what they promise, on methods whose AP is known from very many images."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.data.jittered_truth import jittered
from support.methods.simulated import Skill, population, sample

from crowdbench import evaluate, load_dataset, load_method
from crowdbench.analysis.bootstrap import (
    FILE,
    Difference,
    Interval,
    differences,
    draws,
    interval,
    stored_interval,
)
from crowdbench.errors import InputError, MissingDataError, SettingsError
from crowdbench.run_store.run import Run
from crowdbench.scoring.matching import Matches, match_run

TRIALS = 200
IMAGES = 400
# Enough for the ends of an interval at 95 %, and quick.
DRAWS = 300

GOOD, MIDDLING, POOR = (
    Skill(error=0.02, missed=0.03, invented=0.2),
    Skill(),
    Skill(error=0.1, missed=0.2, invented=1),
)


def holds(low: float, truth: float, high: float) -> bool:
    return low <= truth <= high


@pytest.fixture(scope="module")
def everybody() -> Callable[[Skill, int], Matches]:
    """What a method does on so many images that its AP is known; made once."""
    made: dict[tuple[Skill, int], Matches] = {}

    def of(skill: Skill, seed: int) -> Matches:
        if (skill, seed) not in made:
            made[skill, seed] = population(skill, 10_000, seed)
        return made[skill, seed]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("skill", [GOOD, MIDDLING, POOR], ids=["good", "middling", "poor"])
def test_intervals_of_ap_contain_the_truth_as_often_as_they_say(
    skill: Skill, everybody: Callable[[Skill, int], Matches]
) -> None:
    all_images = everybody(skill, 1)
    truth = all_images.average_precision()
    rng = np.random.default_rng(0)
    found = [interval(sample(all_images, IMAGES, rng), DRAWS, trial) for trial in range(TRIALS)]
    share = np.mean([holds(one.low, truth, one.high) for one in found])
    assert 0.92 <= share <= 0.98, share


@pytest.mark.slow
def test_intervals_of_differences_contain_the_truth_as_often_as_they_say(
    everybody: Callable[[Skill, int], Matches],
) -> None:
    # Nearly equal, so that what is left of a pair is mostly luck.
    pair = [everybody(MIDDLING, 1), everybody(dataclasses.replace(MIDDLING, error=0.062, invented=0.4), 2)]
    truth = pair[0].average_precision() - pair[1].average_precision()
    held = []
    for trial in range(TRIALS):
        one, other = (
            dataclasses.replace(sample(of, IMAGES, np.random.default_rng([7, trial])), levels=())
            for of in pair
        )
        found = differences(one, other, DRAWS, trial).overall
        assert found.low is not None
        assert found.high is not None
        held.append(holds(found.low, truth, found.high))
    assert 0.92 <= np.mean(held) <= 0.98, np.mean(held)


@pytest.fixture(scope="module")
def small() -> Matches:
    return population(MIDDLING, 150, 1)


@pytest.fixture(scope="module")
def better() -> Matches:
    return population(GOOD, 150, 2)


@pytest.fixture(scope="module")
def nobody(small: Matches) -> Matches:
    return dataclasses.replace(
        small,
        counted=np.zeros_like(small.counted),
        true=np.zeros_like(small.true),
        ignored=np.ones_like(small.ignored),
    )


def test_an_interval_lies_around_ap_and_is_narrower_with_more_images(small: Matches) -> None:
    few = interval(small.of_images(np.arange(150) < 30))
    many = interval(small)
    for one in (few, many):
        assert one.low < one.point < one.high
    assert many.high - many.low < 0.7 * (few.high - few.low)
    assert many.point == small.average_precision()


def test_a_lower_level_makes_a_narrower_interval(small: Matches) -> None:
    half, most = interval(small, level=0.5), interval(small, level=0.95)
    assert most.low < half.low < half.high < most.high


def test_equal_seeds_give_equal_bounds_and_other_seeds_others(small: Matches) -> None:
    assert interval(small, 200, seed=3) == interval(small, 200, seed=3)
    assert interval(small, 200, seed=3) != interval(small, 200, seed=4)


@pytest.mark.parametrize("images", [1, 7, 5000])
def test_a_draw_has_as_many_images_as_there_are(images: int) -> None:
    parts = list(draws(images, 300, seed=0))
    drawn = np.concatenate(parts)
    assert drawn.shape == (300, images)
    assert (drawn.sum(axis=1) == images).all()
    assert (len(parts) > 1) == (images == 5000)  # bounded memory


def test_more_resamples_begin_with_the_same_draws() -> None:
    few, many = (np.concatenate(list(draws(5000, n, seed=1))) for n in (210, 420))
    assert (few == many[:210]).all()


def test_in_the_other_order_differences_change_their_sign_and_nothing_else(
    small: Matches, better: Matches
) -> None:
    one, other = differences(small, better, 200), differences(better, small, 200)
    for mine, theirs in (
        (one.overall, other.overall),
        *((one.levels[n], other.levels[n]) for n in one.levels),
    ):
        assert None not in dataclasses.astuple(mine)
        assert mine == Difference(
            theirs.second, theirs.first, -theirs.difference, -theirs.high, -theirs.low, theirs.p
        )  # type: ignore[operator]


def test_a_result_beside_itself_differs_by_nothing(small: Matches) -> None:
    found = differences(small, small)
    for one in (found.overall, *found.levels.values()):
        assert (one.difference, one.low, one.high, one.p) == (0, 0, 0, 1)


def test_clearly_different_methods_are_told_apart_and_p_is_never_0(small: Matches, better: Matches) -> None:
    found = differences(better, small).overall
    assert found.p is not None
    assert 0 < found.p < 0.01
    assert found.low is not None
    assert found.low > 0


def test_levels_are_compared_on_their_own_images(small: Matches, better: Matches) -> None:
    found = differences(better, small, 200)
    assert list(found.levels) == ["easy", "medium", "hard"]
    for name, one in found.levels.items():
        assert one.first == better.of_level(name).average_precision()
        assert one.second == small.of_level(name).average_precision()
        assert one.low is not None
        assert one.high is not None
        assert one.low < one.first - one.second < one.high


def with_hard_images(matches: Matches, count: int) -> Matches:
    """The images that are not hard, and some that are."""
    is_hard = matches.image_levels == matches.levels.index("hard")
    return matches.of_images(~is_hard | (np.cumsum(is_hard) <= count))


def test_a_level_on_a_handful_of_images_has_a_difference_and_no_interval(
    small: Matches, better: Matches
) -> None:
    one, other = (with_hard_images(of, 9) for of in (better, small))
    found = differences(one, other, 100).levels["hard"]
    ap = [of.of_level("hard").average_precision() for of in (one, other)]
    assert found == Difference(ap[0], ap[1], ap[0] - ap[1], None, None, None)


def test_draws_without_an_image_of_a_level_are_left_out_of_it(small: Matches, better: Matches) -> None:
    # Only one of ten hard images has people: a third of all draws are without them.
    crowded = with_hard_images(small, 10)
    hard = np.flatnonzero(crowded.image_levels == crowded.levels.index("hard"))
    empty = np.isin(crowded.person_images, hard[1:])
    one, other = (
        dataclasses.replace(of, counted=of.counted & ~empty) for of in (with_hard_images(better, 10), crowded)
    )
    found = differences(one, other, 100).levels["hard"]
    assert found.low is not None
    assert np.isfinite([found.low, found.high, found.p]).all()  # type: ignore[list-item]


def test_results_of_different_images_are_not_drawn_together(small: Matches) -> None:
    with pytest.raises(ValueError, match="different images"):
        differences(small, small.of_level("hard"))


def test_a_level_without_images_is_not_compared(small: Matches) -> None:
    easy = small.of_level("easy")
    assert differences(easy, easy, 100).levels["hard"] == Difference(-1, -1, None, None, None, None)


def test_where_nobody_is_to_be_found_there_is_no_interval(nobody: Matches) -> None:
    assert interval(nobody) == Interval(-1, -1, -1)
    assert differences(nobody, nobody).overall.p is None


@pytest.mark.parametrize(("resamples", "level"), [(99, 0.95), (0, 0.95), (1000, 0.0), (1000, 95)])
def test_too_few_draws_and_impossible_levels_are_refused(
    small: Matches, resamples: int, level: float
) -> None:
    with pytest.raises(SettingsError):
        interval(small, resamples, level=level)


@pytest.fixture
def run(tmp_path: Path, goldens: Path) -> Run:
    """A run on 100 images of CrowdPose val whose predictions came from a results file."""
    root = tmp_path / "crowdpose"
    place = root / "json" / "crowdpose_val.json"
    place.parent.mkdir(parents=True)
    place.write_bytes((goldens / "metrics" / "crowdpose_val_small_gt.json").read_bytes())
    file = tmp_path / "found.json"
    file.write_text(json.dumps(jittered(place, 0.05)))
    dataset = load_dataset("crowdpose", split="val", root=root)
    method = load_method("results", dataset, boxes="gt", system="somebody")
    return evaluate(method, dataset, weights=file, out=tmp_path / "runs", device="cpu", workers=0)


@pytest.fixture
def at_home(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same, with its dataset where datasets are looked for."""
    monkeypatch.setenv("CROWDBENCH_DATA", str(run.directory.parents[3]))
    return run


def test_a_runs_matches_have_the_ap_of_its_record(at_home: Run) -> None:
    found = match_run(at_home)
    assert at_home.scores is not None
    assert found.average_precision() == pytest.approx(at_home.scores["AP"], abs=1e-9)
    assert found.of_level("hard").average_precision() == pytest.approx(at_home.scores["AP_hard"], abs=1e-4)


def test_an_interval_is_kept_beside_its_run_and_found_again(at_home: Run) -> None:
    assert stored_interval(at_home, compute=False) is None
    found = stored_interval(at_home)
    assert found is not None
    assert found == interval(match_run(at_home))
    kept = json.loads((at_home.directory / FILE).read_text())
    assert (kept["AP"], kept["low"], kept["high"]) == (found.point, found.low, found.high)
    assert set(kept) == {"AP", "low", "high", "level", "resamples", "seed", "predictions"}
    assert stored_interval(at_home, compute=False) == found


def test_a_kept_interval_needs_no_dataset(at_home: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stored_interval(at_home)
    monkeypatch.setenv("CROWDBENCH_DATA", str(at_home.directory))
    assert stored_interval(at_home) == found


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"AP": "high"}', b"\xff"])
def test_a_damaged_interval_is_as_good_as_none(at_home: Run, damage: bytes) -> None:
    found = stored_interval(at_home)
    (at_home.directory / FILE).write_bytes(damage)
    assert stored_interval(at_home, compute=False) is None
    assert stored_interval(at_home) == found
    assert stored_interval(at_home, compute=False) == found


def test_an_interval_of_other_predictions_is_computed_anew(at_home: Run) -> None:
    found = stored_interval(at_home)
    kept = json.loads((at_home.directory / FILE).read_text())
    (at_home.directory / FILE).write_text(json.dumps(kept | {"predictions": "0" * 64, "low": 0.0}))
    assert stored_interval(at_home) == found
    (at_home.directory / FILE).write_text(json.dumps(kept | {"AP": 0.1, "low": 0.0}))
    assert stored_interval(at_home, compute=False) is None


def test_an_interval_of_tomorrow_is_read_as_far_as_it_is_understood(at_home: Run) -> None:
    found = stored_interval(at_home)
    kept = json.loads((at_home.directory / FILE).read_text())
    (at_home.directory / FILE).write_text(json.dumps(kept | {"a_field_of_tomorrow": {"x": 1}}))
    assert stored_interval(at_home, compute=False) == found


def test_a_run_that_is_not_done_not_scored_or_on_a_handful_of_images_has_no_interval(at_home: Run) -> None:
    few = dataclasses.replace(at_home.record.protocol, images=9, complete=False)
    for change in ({"state": "running"}, {"scores": None}, {"protocol": few}):
        other = Run(at_home.directory, dataclasses.replace(at_home.record, **change))  # type: ignore[arg-type]
        assert stored_interval(other) is None


def test_a_run_without_predictions_says_so(at_home: Run) -> None:
    at_home.predictions_file.unlink()
    with pytest.raises(MissingDataError, match="no predictions"):
        stored_interval(at_home)
    with pytest.raises(MissingDataError, match="no predictions"):
        match_run(at_home)


def test_annotations_that_are_not_the_runs_are_refused(at_home: Run) -> None:
    place = at_home.directory.parents[3] / "crowdpose" / "json" / "crowdpose_val.json"
    place.write_text(place.read_text() + "\n")
    with pytest.raises(InputError, match="was measured on"):
        match_run(at_home)
    with pytest.raises(InputError, match="--annotations"):
        match_run(at_home, load_dataset("crowdpose", split="val", root=place.parents[1]))


def test_a_run_on_the_first_images_is_matched_on_those(at_home: Run) -> None:
    dataset = load_dataset("crowdpose", split="val")
    method = load_method("results", dataset, boxes="gt", system="somebody")
    file = at_home.directory.parents[3] / "found.json"
    part = evaluate(
        method, dataset, weights=file, out=file.parent / "runs", device="cpu", limit=10, workers=0
    )
    found = match_run(part)
    assert len(found.image_ids) == 10
    assert part.scores is not None
    assert found.average_precision() == pytest.approx(part.scores["AP"], abs=1e-9)
