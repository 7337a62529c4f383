"""Predictions with known errors: copies of annotated persons, some of whose keypoints are put elsewhere.

Everything is placed by the definitions' geometry, in units in which a keypoint's similarity is
``exp(-q^2 / 2)``: q is the distance over ``2 sigma sqrt(area)``. Nothing here calls crowdbench's own analysis.
"""

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import KeypointSet

Q_GOOD, Q_NEAR = 0.570, 1.178  # similarities 0.85 and 0.5
# What is put on a wrong keypoint lies this near to it, and anything else further away by the margin.
ON_IT, MARGIN = 0.3, 0.15
# So much of a person stays right that it is still matched with itself.
MOST_WRONG = 0.3


@dataclass
class Planted:
    """Predictions, and what was planted.

    Attributes:
        results: the predictions, in COCO results format.
        kinds: the kinds of the keypoints of each copied person, by annotation id; None where not labelled.
        left_out: annotation ids of persons that were not copied.
        background: how many predictions of nobody there are.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    kinds: dict[int, list[str | None]] = field(default_factory=dict)
    left_out: set[int] = field(default_factory=set)
    background: int = 0

    @property
    def counts(self) -> Counter[str]:
        """How many keypoints of each kind."""
        return Counter(kind for kinds in self.kinds.values() for kind in kinds if kind is not None)


class Scene:
    """The persons of one image."""

    def __init__(
        self, persons: list[dict[str, Any]], keypoints: KeypointSet, area_factor: float, on_it: float
    ) -> None:
        self.on_it = on_it
        self.persons = persons
        self.points = np.array([p["keypoints"] for p in persons], dtype=float).reshape(-1, keypoints.count, 3)
        areas = np.array([area_factor * p["bbox"][2] * p["bbox"][3] for p in persons])
        self.units = 2 * np.array(keypoints.sigmas) * np.sqrt(areas)[:, None]  # pixels a q, (n, K)
        self.mirror = keypoints.flip_order

    def q(self, person: int, keypoint: int, place: NDArray[np.float64]) -> float:
        """How far a place is from a keypoint; infinitely far if that is not labelled."""
        x, y, visibility = self.points[person, keypoint]
        if visibility == 0:
            return np.inf
        return float(np.hypot(place[0] - x, place[1] - y) / self.units[person, keypoint])

    def nearest(self, person: int, keypoint: int, place: NDArray[np.float64]) -> dict[str, float]:
        """How far a place is from where each kind would put this keypoint."""
        mirror = self.mirror[keypoint]
        others = [
            self.q(other, which, place)
            for other in range(len(self.persons))
            if other != person
            for which in {keypoint, mirror}
        ]
        return {
            "own": self.q(person, keypoint, place),
            "inversion": self.q(person, mirror, place) if mirror != keypoint else np.inf,
            "swap": min(others, default=np.inf),
        }

    def is_double(self, person: int) -> bool:
        """Whether the same person is annotated twice, nearly alike: whose a keypoint is, nobody can say then."""
        mine = np.flatnonzero(self.points[person, :, 2] > 0)
        for other in range(len(self.persons)):
            q = np.array(
                [self.q(other, int(keypoint), self.points[person, keypoint, :2]) for keypoint in mine]
            )
            if other != person and np.isfinite(q).any() and np.exp(-(q**2) / 2)[np.isfinite(q)].mean() > 0.5:
                return True
        return False

    def put(
        self, kind: str, person: int, keypoint: int, random: np.random.Generator
    ) -> NDArray[np.float64] | None:
        """A place that is of a kind beyond doubt; None where this keypoint has none."""
        angle = random.uniform(0, 2 * np.pi)
        away = np.array([np.cos(angle), np.sin(angle)])
        if kind == "jitter":
            reach = random.uniform(Q_GOOD + 0.02, Q_NEAR - 0.02)
            place = self.points[person, keypoint, :2] + away * reach * self.units[person, keypoint]
            near = self.nearest(person, keypoint, place)
            return place if min(near["inversion"], near["swap"]) > near["own"] + MARGIN else None
        if kind == "miss":
            x, y, width, height = self.persons[person]["bbox"]
            place = np.array([x, y]) + random.uniform(-0.5, 1.5, 2) * (width, height)
            return place if min(self.nearest(person, keypoint, place).values()) > Q_NEAR + 0.02 else None
        targets = (
            [(person, self.mirror[keypoint])]
            if kind == "inversion"
            else [
                (other, which)
                for other in range(len(self.persons))
                if other != person
                for which in {keypoint, self.mirror[keypoint]}
            ]
        )
        targets = [(who, which) for who, which in targets if self.points[who, which, 2] > 0]
        if not targets or (kind == "inversion" and self.mirror[keypoint] == keypoint):
            return None
        who, which = targets[random.integers(len(targets))]
        place = self.points[who, which, :2] + away * random.uniform(0, self.on_it) * self.units[who, which]
        near = self.nearest(person, keypoint, place)
        wrong = near.pop(kind)
        is_apart = near["own"] > Q_NEAR and min(near.values()) > wrong + MARGIN
        return place if is_apart else None


def read_json(path: Path) -> Any:
    """A file of the reference data."""
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


def planted(
    truth: Mapping[str, Any],
    keypoints: KeypointSet,
    area_factor: float,
    wanted: Mapping[str, int],
    *,
    left_out: int = 0,
    background: int = 0,
    on_it: float = ON_IT,
    seed: int = 0,
) -> Planted:
    """Copy the persons that count, and plant so many errors of each kind as are wanted.

    Persons who are annotated twice are copied as they are.

    Args:
        truth: an annotation file's content.
        keypoints: its keypoints.
        area_factor: a person's area is so much of its box.
        wanted: how many errors of each kind.
        left_out: how many persons get no prediction.
        background: how many predictions lie where nobody is.
        on_it: how near to a wrong keypoint an inversion or a swap lies at most, in q.
        seed: of what goes where.
    """
    random = np.random.default_rng(seed)
    images: dict[int, list[dict[str, Any]]] = {}
    for person in truth["annotations"]:
        images.setdefault(person["image_id"], []).append(person)
    scenes = {image_id: Scene(persons, keypoints, area_factor, on_it) for image_id, persons in images.items()}
    copied = [
        (image_id, number)
        for image_id, persons in images.items()
        for number, person in enumerate(persons)
        if person["num_keypoints"] > 0 and not person["iscrowd"]
    ]
    random.shuffle(copied)
    found = Planted()
    missing = Counter(wanted)
    for image_id, number in copied:
        scene = scenes[image_id]
        person = scene.persons[number]
        labelled = np.flatnonzero(scene.points[number, :, 2] > 0)
        is_double = scene.is_double(number)
        if len(found.left_out) < left_out and not is_double:
            found.left_out.add(person["id"])
            continue
        x, y, width, height = person["bbox"]
        pose = np.ones((keypoints.count, 3))
        pose[:, :2] = x + width / 2, y + height / 2
        pose[labelled, :2] = scene.points[number, labelled, :2]
        kinds: list[str | None] = [None] * keypoints.count
        for keypoint in labelled:
            kinds[keypoint] = "good"
        most = 0 if is_double else int(MOST_WRONG * len(labelled))
        for keypoint in random.permutation(labelled)[:most]:
            # The rarest chances first: not every keypoint has a mirror, nor a neighbour.
            for kind in ("swap", "inversion", *random.permutation(["jitter", "miss"])):
                place = scene.put(kind, number, keypoint, random) if missing[kind] else None
                if place is not None:
                    pose[keypoint, :2], kinds[keypoint] = place, str(kind)
                    missing[kind] -= 1
                    break
        found.kinds[person["id"]] = kinds
        found.results.append(_result(image_id, pose, float(random.uniform(0.2, 1))))
    for image_id in random.permutation(list(images))[:background]:
        pose = np.ones((keypoints.count, 3))
        pose[:, :2] = random.uniform(-20_000, -10_000, (keypoints.count, 2))
        found.results.append(_result(int(image_id), pose, float(random.uniform(0, 1))))
        found.background += 1
    return found


def _result(image_id: int, pose: NDArray[np.float64], score: float) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "keypoints": pose.ravel().tolist(), "score": score}
