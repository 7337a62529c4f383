"""Ten ways of being wrong and some more, each caught by the check that is meant to catch it, and a method
that is wrong in none."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.methods import broken as methods

from crowdbench.api.method import Method
from crowdbench.testing import CheckResult, Failed, Inapplicable, Passed, check_method
from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14


def findings(
    cls: type[Method], keypoints: Any = CROWDPOSE_14, only: str | None = None
) -> Iterator[CheckResult]:
    return check_method(lambda: cls(keypoints, cls.Settings()), dataset="crowdpose", only=only)


def failures(cls: type[Method], **options: Any) -> dict[str, Failed]:
    found = findings(cls, **options)
    return {f.name: f.outcome for f in found if isinstance(f.outcome, Failed)}


@pytest.mark.slow
@pytest.mark.parametrize(
    "cls", [methods.Dots, methods.DotsByNetwork, methods.DotsEverywhere, methods.OnePerson]
)
def test_an_exact_method_passes_everything(cls: type[Method]) -> None:
    assert failures(cls) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cls", "caught", "came"),
    [
        pytest.param(methods.CropSpace, {"shift", "boxes", "mirror"}, "crop", id="wrong space: crop"),
        pytest.param(methods.HeatmapSpace, {"shift", "boxes", "mirror"}, "off by", id="wrong space: heatmap"),
        pytest.param(methods.BatchDependent, {"batch_composition"}, "keypoints", id="batch-dependent"),
        pytest.param(methods.Stateful, {"state"}, "after a different image", id="stateful"),
        pytest.param(methods.NotANumber, {"finite"}, "NaN", id="NaN"),
        pytest.param(methods.Mirrored, {"left_right"}, "on their partner", id="mirrored keypoints"),
        pytest.param(methods.BoxesIgnored, {"boxes", "mirror"}, "the same pose", id="boxes ignored"),
        pytest.param(methods.HalfPixelOff, {"scale"}, "constant (0.", id="off by half a pixel"),
        pytest.param(methods.NobodyThere, {"no_people"}, "ValueError", id="crashes on no people"),
        pytest.param(methods.Random, {"determinism"}, "two runs differ", id="non-deterministic"),
        pytest.param(methods.Unpicklable, {"pickling"}, "lambda", id="unpicklable"),
    ],
)
def test_a_broken_method_fails_the_checks_meant_for_it_and_no_other(
    cls: type[Method], caught: set[str], came: str
) -> None:
    found = failures(cls)
    assert set(found) == caught
    assert any(came in outcome.came for outcome in found.values())
    for outcome in found.values():
        assert outcome.expected
        assert outcome.why
        assert str(outcome).startswith("expected: ")


@pytest.mark.parametrize(
    ("cls", "check"),
    [
        (methods.ImageChanged, "input_unchanged"),
        (methods.WeightsElsewhere, "weights_round_trip"),
        (methods.LearnsNothing, "training"),
        (methods.OwnDice, "preparation"),
        (methods.NoSmallImages, "sizes"),
        (methods.AreaExpected, "strange_boxes"),
        (methods.OwnReader, "file_formats"),
        (methods.BoxesUsed, "boxes"),
        (methods.TooMany, "ordinary"),
    ],
)
def test_other_ways_of_being_wrong_are_caught_too(cls: type[Method], check: str) -> None:
    assert set(failures(cls, only=check)) == {check}


@pytest.mark.parametrize("check", ["left_right", "scale"])
def test_an_exact_method_passes_with_other_keypoints(check: str) -> None:
    (found,) = findings(methods.DotsEverywhere, COCO_17, only=check)
    assert isinstance(found.outcome, Passed)


def test_half_a_pixel_is_seen_without_boxes_too() -> None:
    class HalfPixelOffEverywhere(methods.DotsEverywhere, methods.HalfPixelOff):
        pass

    assert set(failures(HalfPixelOffEverywhere, only="scale")) == {"scale"}


def test_where_no_pose_is_finite_only_the_check_of_that_fails() -> None:
    assert set(failures(methods.AlwaysNaN, only="finite")) == {"finite"}
    assert not failures(methods.AlwaysNaN, only="ordinary")
    (found,) = findings(methods.AlwaysNaN, only="shift")
    assert isinstance(found.outcome, Inapplicable)
    assert "see the check finite" in found.outcome.reason


def test_a_method_that_does_not_run_says_where_it_stopped() -> None:
    class Stops(methods.Dots):
        def pose(self, image: Any, box: Any) -> Any:
            raise KeyError("shoulder")

    failed = failures(Stops, only="ordinary")["ordinary"]
    assert "estimate raised KeyError on image 1" in failed.came
    assert "test_broken_methods.py" in failed.came
    (found,) = findings(Stops, only="scale")
    assert isinstance(found.outcome, Inapplicable)


def test_a_method_without_a_network_is_not_asked_about_one() -> None:
    (found,) = findings(methods.Dots, only="weights_round_trip")
    assert isinstance(found.outcome, Inapplicable)
    assert "no network" in found.outcome.reason
