"""Faults of real networks are seen beside annotations, and networks without them pass."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.methods.planted_faults import (
    Change,
    in_reverse,
    left_and_right_exchanged,
    moved,
    planted,
    rounded,
    two_exchanged,
    with_colours_exchanged,
)

from crowdbench.api.dataset import Dataset, load_dataset
from crowdbench.api.load_method import load_method, method_class
from crowdbench.api.method import Method
from crowdbench.api.types import Pose, Sample
from crowdbench.cli import main
from crowdbench.testing.annotated import AnnotatedSubject
from crowdbench.testing.annotated_checks import ANNOTATED_CHECKS
from crowdbench.testing.outcome import Failed, Inapplicable, Outcome, Passed, carry_out
from crowdbench.testing.subject import MethodSubject
from crowdbench.weights import resolve_weights

IMAGES = 60  # enough to see half a pixel


class Remembering(MethodSubject):
    """A method whose poses are computed once; a fault may be planted into them afterwards."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.known: dict[Path, list[Pose]] = {}
        self.change: Change = lambda points, _: points

    def run(self, batches: Sequence[Sequence[Sample]], **more: Any) -> list[list[list[Pose]]]:
        if any(sample.path not in self.known for batch in batches for sample in batch):
            for batch, poses in zip(batches, super().run(batches, **more), strict=True):
                self.known |= {s.path: found for s, found in zip(batch, poses, strict=True)}
        own = self.method.keypoints
        return [
            [[planted(p, self.change, own) for p in self.known[s.path]] for s in batch] for batch in batches
        ]


@pytest.fixture(scope="module")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("crowds")
    with pytest.raises(SystemExit, match="0"):
        main(["data", "synth", str(root / "set"), "--split", "test", "--images", str(IMAGES)])
    return load_dataset("synthcrowd", root=root / "set")


def remembering(name: str, cls: type[Method], crowds: Dataset, folder: Path) -> Remembering:
    plain = load_method(name, crowds)
    weights = resolve_weights("published", method=name, dataset="synthcrowd", input_size=None).path
    return Remembering(
        lambda: cls(plain.keypoints, plain.settings, name),
        weights=weights,
        folder=folder,
        dataset="synthcrowd",
    )


@pytest.fixture(scope="module", params=["hrnet-tiny", "i2rnet-tiny"])
def network(
    request: pytest.FixtureRequest, crowds: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Remembering:
    return remembering(request.param, method_class(request.param), crowds, tmp_path_factory.mktemp("images"))


def outcomes(method: MethodSubject, crowds: Dataset, *names: str, images: int = IMAGES) -> dict[str, Outcome]:
    subject = AnnotatedSubject(method, crowds, images)
    return {
        check.name: carry_out(check, subject).outcome
        for check in ANNOTATED_CHECKS
        if not names or check.name in names
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "check", "came"),
    [
        (left_and_right_exchanged, "keypoint_order", "left and right are exchanged"),
        (in_reverse, "keypoint_order", "in reverse order"),
        (two_exchanged, "keypoint_order", "in another order: left_elbow is where left_shoulder is annotated"),
        (moved(0.5), "offset", "an offset of"),
        (moved(2.0), "offset", "an offset of"),
        (rounded, "whole_pixels", "100% of"),
    ],
    ids=["left-right", "reverse", "two", "half", "two pixels", "rounded"],
)
def test_a_planted_fault_is_found(
    network: Remembering,
    crowds: Dataset,
    change: Change,
    check: str,
    came: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "change", change)
    found = outcomes(network, crowds, check)[check]
    assert isinstance(found, Failed)
    assert came in found.came


@pytest.mark.slow
def test_networks_without_a_fault_pass(network: Remembering, crowds: Dataset) -> None:
    for name, outcome in outcomes(network, crowds).items():
        assert isinstance(outcome, Passed), (name, outcome)


@pytest.mark.slow
def test_a_network_that_is_given_bgr_is_found(crowds: Dataset, tmp_path: Path) -> None:
    cls = with_colours_exchanged(method_class("hrnet-tiny"))
    found = outcomes(remembering("hrnet-tiny", cls, crowds, tmp_path), crowds, "colours", images=16)[
        "colours"
    ]
    assert isinstance(found, Failed)
    assert "the network seems to be given BGR" in found.came


def test_random_weights_show_nothing_and_say_so(crowds: Dataset, tmp_path: Path) -> None:
    subject = MethodSubject(
        lambda: load_method("hrnet-tiny", crowds), weights=None, folder=tmp_path, dataset="synthcrowd"
    )
    for outcome in outcomes(subject, crowds).values():
        assert isinstance(outcome, Inapplicable)
        assert "with random weights there is nothing to see" in outcome.reason


class Nobody(Method):
    paradigm = "bottom-up"

    def estimate(self, image: Any, boxes: Any) -> list[Pose]:
        return []


class Truth(Method):
    """Finds everybody, without saying in which box: the annotations themselves, in any order."""

    paradigm = "bottom-up"

    def estimate_sample(self, sample: Sample) -> list[Pose]:
        fraction = [0.01, 0.01, 0]
        return [Pose(i.keypoints + fraction, 1.0) for i in sample.instances[::-1]]

    def estimate(self, image: Any, boxes: Any) -> list[Pose]:
        raise NotImplementedError


def test_a_method_that_finds_nobody_is_not_judged(crowds: Dataset, tmp_path: Path) -> None:
    subject = MethodSubject(
        lambda: Nobody(crowds.keypoints, Nobody.Settings()),
        weights=None,
        folder=tmp_path,
        dataset="synthcrowd",
    )
    for outcome in outcomes(subject, crowds).values():
        assert isinstance(outcome, Inapplicable)
        assert "0 of the annotated persons are found" in outcome.reason


def test_poses_without_boxes_are_matched_with_the_persons(crowds: Dataset, tmp_path: Path) -> None:
    subject = MethodSubject(
        lambda: Truth(crowds.keypoints, Truth.Settings()), weights=None, folder=tmp_path, dataset="synthcrowd"
    )
    matched = AnnotatedSubject(subject, crowds, IMAGES).matched
    persons = sum((i.keypoints[:, 2] > 0).sum() >= 2 for i in (i for s in crowds for i in s.instances))
    assert len(matched.persons) >= 0.95 * persons
    assert np.mean(matched.similarity[matched.labelled] > 0.99) > 0.95
