"""Every check of docs/metrics.md's table sees what it is for, changes no number, and is silent on sound files."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference.scoring_protocols import COCO, CROWD, OF_NAME

from crowdbench.api.types import FloatArray
from crowdbench.scoring.problem import Problem, read_problem
from crowdbench.scoring.results_file import plausible_predictions
from crowdbench.scoring.results_file.plausible_predictions import implausible_predictions
from crowdbench.scoring.score import score_files

PAGE = Path(__file__).resolve().parents[4] / "docs" / "metrics.md"
WIDTH, HEIGHT = 640, 480
PAIRS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))
RULES = replace(COCO, keypoints=replace(COCO.keypoints, flip_pairs=PAIRS))
Entries = list[dict[str, Any]]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images with two persons each."""
    rng = np.random.default_rng(0)
    persons = []
    for number in range(48):
        side = rng.uniform(80, 160)
        corner = rng.uniform((20, 20), (WIDTH - side - 20, HEIGHT - side - 20))
        points = np.round(corner + rng.uniform(0, side, (17, 2)), 1)
        persons.append(
            {
                "id": number + 1,
                "image_id": 100 + number // 2,
                "category_id": 1,
                "iscrowd": 0,
                "num_keypoints": 17,
                "keypoints": np.column_stack([points, np.full(17, 2)]).ravel().tolist(),
                "bbox": [*corner.tolist(), side, side],
                "area": 0.6 * side**2,
            }
        )
    images = [
        {"id": 100 + n, "file_name": f"{100 + n}.jpg", "width": WIDTH, "height": HEIGHT} for n in range(24)
    ]
    path = tmp_path_factory.mktemp("truth") / "truth.json"
    path.write_text(
        json.dumps({"images": images, "annotations": persons, "categories": [{"id": 1, "name": "person"}]})
    )
    return path


def predictions(truth: Path, error: float = 4.0) -> Entries:
    """A fair method: errors in pixels, scores that know something of them."""
    rng = np.random.default_rng(1)
    entries = []
    for person in json.loads(truth.read_text())["annotations"]:
        points = np.reshape(person["keypoints"], (17, 3)).copy()
        own = error * rng.uniform(0.2, 3)
        points[:, :2] += rng.normal(0, own, (17, 2))
        points[:, 2] = 0.5
        entries.append(
            {
                "image_id": person["image_id"],
                "category_id": 1,
                "keypoints": points.ravel().tolist(),
                "score": float(1 / (1 + own) + rng.uniform(0, 0.05)),
                "bbox": person["bbox"],
            }
        )
    return entries


def changed(entries: Entries, change: Callable[[FloatArray], FloatArray]) -> Entries:
    """The entries with other x, y; their boxes left out."""
    found = []
    for entry in entries:
        points = np.reshape(entry["keypoints"], (17, 3)).astype(np.float64)
        points[:, :2] = change(points[:, :2])
        kept = {k: v for k, v in entry.items() if k != "bbox"}
        found.append({**kept, "keypoints": points.ravel().tolist()})
    return found


def with_boxes(entries: Entries, change: Callable[..., list[float]]) -> Entries:
    return [{**e, "bbox": change(*e["bbox"])} for e in entries]


def relative(entries: Entries) -> Entries:
    return [
        {**changed([e], lambda p, e=e: p - np.array(e["bbox"][:2]))[0], "bbox": e["bbox"]}  # type: ignore[misc]
        for e in entries
    ]


def reordered(order: list[int]) -> Callable[[Entries], Entries]:
    return lambda entries: changed(entries, lambda p: p[order])


MIRROR = [0, *(index for left, right in PAIRS for index in (right, left))]
ANOTHER = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 1, 2, 3, 4]
MISTAKES: dict[str, list[Callable[[Entries], Entries]]] = {
    "few-images": [
        lambda e: e[:14],
        lambda e: [x for x in e if x["image_id"] % 4 == 0],
    ],
    "zero": [
        lambda e: changed(e, lambda p: 0 * p),
        lambda e: [*changed(e[:12], lambda p: 0 * p), *changed(e[12:], np.copy)],
    ],
    "normalized": [
        lambda e: changed(e, lambda p: p / (WIDTH, HEIGHT)),
        lambda e: changed(e, lambda p: 2 * p / (WIDTH, HEIGHT) - 1),
    ],
    "one-point": [lambda e: changed(e, lambda p: 0 * p + p.mean(axis=0))],
    "outside": [lambda e: changed(e, lambda p: 3 * p), lambda e: changed(e, lambda p: p - (700, 0))],
    "identical": [lambda e: [{**x, "keypoints": e[3]["keypoints"]} for x in e]],
    "surplus": [lambda e: [{**x, "score": x["score"] / (n + 1)} for x in e for n in range(60)]],
    "boxes": [
        lambda e: with_boxes(e, lambda x, y, w, h: [x, y, x + w, y + h]),
        lambda e: with_boxes(e, lambda x, y, w, h: [x / 640, y / 480, w / 640, h / 480]),
        lambda e: with_boxes(e, lambda x, y, w, h: [x + 2000, y, w, h]),
        lambda e: with_boxes(e, lambda x, y, w, h: [x, y, 0, 0]),
    ],
    "equal-scores": [
        lambda e: [
            {**x, "score": 1} for x in [*e, *({**y, "image_id": 100 + n % 24} for n, y in enumerate(e))]
        ]
    ],
    "falling-scores": [
        lambda e: [{**x, "score": -x["score"]} for x in e],
        lambda e: [{**x, "score": 1 / x["score"]} for x in e],
    ],
    "exchanged": [lambda e: changed(e, lambda p: p[:, ::-1])],
    "left-right": [reordered(MIRROR)],
    "reversed": [reordered(list(range(16, -1, -1)))],
    "order": [reordered(ANOTHER)],
    "mirrored": [lambda e: changed(e, lambda p: (WIDTH - 1, 0) + p * (-1, 1))],
    "upside-down": [lambda e: changed(e, lambda p: (0, HEIGHT - 1) + p * (1, -1))],
    "cropped": [relative],
    "shifted": [
        lambda e: [{**x, "image_id": min(123, x["image_id"] + 1)} for x in e],
        lambda e: [{**x, "image_id": max(100, x["image_id"] - 1)} for x in e],
    ],
    "scaled": [
        lambda e: changed(e, lambda p: p / 2),
        lambda e: changed(e, lambda p: p * 1.4),
        lambda e: changed(e, lambda p: p * 1.1),
        lambda e: changed(e, lambda p: p * (0.75, 1)),
        lambda e: changed(e, lambda p: p * (1.25, 0.8)),
    ],
}


def rows() -> dict[str, tuple[str, str]]:
    """The table of the page: by name the threshold and what follows."""
    found = re.findall(
        r"^\| `([a-z-]+)` \| [^|]+ \| ([^|]+) \| (warning, in doubt|warning) \|$", PAGE.read_text(), re.M
    )
    return {name: (threshold, what) for name, threshold, what in found}


def test_the_page_lists_every_check() -> None:
    assert sorted(rows()) == sorted(MISTAKES)


def test_the_page_has_the_thresholds() -> None:
    page = rows()
    shares = {
        "zero": plausible_predictions.ZERO,
        "normalized": plausible_predictions.NORMALIZED,
        "one-point": plausible_predictions.ONE_POINT,
        "outside": plausible_predictions.OUTSIDE,
        "identical": plausible_predictions.IDENTICAL,
        "surplus": plausible_predictions.SURPLUS,
    }
    for name, share in shares.items():
        assert f"{100 * share:g} %" in page[name][0], name
    assert "a third" in page["few-images"][0]
    assert plausible_predictions.FEW_IMAGES == 1 / 3
    assert f"{plausible_predictions.FALLING:g}" in page["falling-scores"][0]
    for name in ("exchanged", "scaled"):
        assert f"{plausible_predictions.BETTER_BY:g}" in page[name][0]
        assert f"{plausible_predictions.BETTER_TIMES:g}" in page[name][0]
        assert f"{plausible_predictions.POOR_FIT:g}" in page[name][0]


@pytest.mark.parametrize(
    ("name", "make"), [(name, make) for name, makers in MISTAKES.items() for make in makers]
)
def test_a_mistake_is_seen_and_called_by_its_name(
    truth: Path, name: str, make: Callable[[Entries], Entries]
) -> None:
    problem = read_problem(make(predictions(truth)), truth, RULES)
    findings = {finding.name: finding for finding in implausible_predictions(problem)}
    assert name in findings, [finding.text for finding in findings.values()]
    assert findings[name].text in problem.warnings
    in_doubt = rows()[name][1] == "warning, in doubt"
    assert (findings[name].text in problem.doubts) == in_doubt


def test_a_fair_method_gives_no_reason_for_doubt(truth: Path) -> None:
    for error in (0.0, 2.0, 8.0, 30.0):
        problem = read_problem(predictions(truth, error), truth, RULES)
        assert not problem.warnings, error


def test_equal_scores_are_fine_where_everything_is_right(truth: Path) -> None:
    entries = [{**entry, "score": 1.0} for entry in predictions(truth, 0.0)]
    assert not read_problem(entries, truth, RULES).warnings


def test_sizes_that_are_not_known_or_are_swapped_raise_no_alarm(truth: Path, tmp_path: Path) -> None:
    content = json.loads(truth.read_text())
    for image in content["images"]:
        image["width"], image["height"] = image["height"], image["width"]
    (tmp_path / "swapped.json").write_text(json.dumps(content))
    for image in content["images"]:
        del image["width"], image["height"]
    (tmp_path / "none.json").write_text(json.dumps(content))
    for name in ("swapped.json", "none.json"):
        assert not read_problem(predictions(truth), tmp_path / name, RULES).warnings


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=51, max_size=51),
    st.integers(1, 30),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_no_finite_predictions_stop_the_checks(
    truth: Path, keypoints: list[float], count: int, score: float
) -> None:
    entry = {"category_id": 1, "keypoints": keypoints, "score": score, "bbox": [0.0, 0.0, 1e300, 1e300]}
    problem = read_problem([{**entry, "image_id": 100 + n % 24} for n in range(count)], truth, RULES)
    assert all(warning.isprintable() for warning in problem.warnings)


def sets(goldens: Path) -> list[tuple[Path, Path, str]]:
    """All sets with golden numbers that are scored by these rules."""
    known = json.loads((goldens / "metrics/expected.json").read_text())
    found = [
        (goldens / "metrics" / s["gt"], goldens / "metrics" / s["preds"], name.split("_")[0])
        for name, s in known.items()
    ]
    extended = goldens / "metrics_extended"
    for rules in ("coco", "crowd"):
        found += [
            (extended / f"{rules}_gt.json", path, rules)
            for path in sorted(extended.glob(f"{rules}_*preds.json"))
        ]
    return found


def test_all_reference_sets_are_silent(goldens: Path) -> None:
    given = sets(goldens)
    assert len(given) >= 20
    spoken = {}
    for truth, path, rules in given:
        problem: Problem = read_problem(path, truth, CROWD if rules.startswith("crowd") else OF_NAME[rules])
        spoken |= {path.name: [finding.text for finding in implausible_predictions(problem)]}
    assert not {name: texts for name, texts in spoken.items() if texts}


def test_no_number_changes(truth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = MISTAKES["exchanged"][0](predictions(truth))
    found = score_files(entries, truth, RULES)
    assert found.doubts
    monkeypatch.setattr("crowdbench.scoring.problem.implausible_predictions", lambda problem: [])
    without = score_files(entries, truth, RULES)
    assert not without.doubts
    assert (found.values, found.unrounded) == (without.values, without.unrounded)
