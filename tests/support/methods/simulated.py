"""Methods whose AP is known: imagined people, and imagined errors of a method that looks for them.

Errors of the persons of an image go together, as in photographs; scores follow the errors, but not closely.
"""

from dataclasses import dataclass

import numpy as np

from crowdbench.scoring.annotations import Images, Persons
from crowdbench.scoring.matching import Matches, match
from crowdbench.scoring.problem import Problem
from support.reference.scoring_protocols import CROWD


@dataclass(frozen=True)
class Skill:
    """How good a method is.

    Attributes:
        error: the median distance of a keypoint from its place, as a share of a person's size.
        missed: the share of persons that it does not see.
        invented: false persons an image.
        doubled: the share of persons that it reports twice.
        by_image, by_person: how unequal images and persons are for it, as deviations of the log of errors.
    """

    error: float = 0.06
    missed: float = 0.1
    invented: float = 0.5
    doubled: float = 0.05
    by_image: float = 0.4
    by_person: float = 0.5


def population(skill: Skill, images: int, seed: int, truth_seed: int = 0) -> Matches:
    """What a method does on very many images.

    Args:
        skill: of the method.
        images: how many.
        seed: of its errors.
        truth_seed: of images and people; equal ones give the same people.
    """
    truth = np.random.default_rng(truth_seed)
    per_image = truth.poisson(3.5, images) + 1
    person_images = np.repeat(np.arange(1, images + 1), per_image)
    persons = len(person_images)
    places = truth.uniform(100, 900, (persons, 1, 2))
    sizes = truth.uniform(60, 200, persons)
    keypoints = places + truth.uniform(-0.5, 0.5, (persons, 14, 2)) * sizes[:, None, None]
    labelled = truth.random((persons, 14)) < 0.9
    crowd_index = truth.beta(1, 1, images) * 1.2
    hardness = truth.normal(0, 1, images)
    person_hardness = truth.normal(0, 1, persons)

    own = np.random.default_rng([seed, 1])
    spread = skill.error * np.exp(
        skill.by_image * (hardness + 0.5 * own.normal(0, 1, images))[person_images - 1]
        + skill.by_person * (person_hardness + 0.5 * own.normal(0, 1, persons))
    )
    seen = np.flatnonzero(own.random(persons) >= skill.missed)
    seen = np.sort(np.concatenate([seen, seen[own.random(len(seen)) < skill.doubled]]))
    noise = own.normal(0, 1, (len(seen), 14, 2)) * (spread * sizes)[seen, None, None]
    invented = own.poisson(skill.invented, images).sum()
    found = np.concatenate([keypoints[seen] + noise, own.uniform(0, 1000, (invented, 14, 2))])
    found_images = np.concatenate([person_images[seen], own.integers(1, images + 1, invented)])
    scores = np.concatenate(
        [-np.log(spread[seen]) + own.normal(0, 0.5, len(seen)), own.normal(2.2, 0.7, invented)]
    )
    ones = np.ones((len(found), 14, 1))
    problem = Problem(
        protocol=CROWD,
        images=Images(list(range(1, images + 1)), crowd_index),
        persons=Persons(
            ids=list(range(persons)),
            image_ids=list[int | str](person_images.tolist()),
            keypoints=np.concatenate([keypoints, 2.0 * labelled[..., None]], -1)
            .reshape(persons, -1)
            .tolist(),
            boxes=np.concatenate(
                [places[:, 0] - sizes[:, None] / 2, np.stack([sizes, sizes], -1)], -1
            ).tolist(),
            areas=0.53 * sizes**2,
            num_keypoints=labelled.sum(1),
            is_crowd=np.zeros(persons, dtype=bool),
        ),
        person_images=person_images,
        keypoints=np.concatenate([found, ones], -1).reshape(len(found), -1).tolist(),
        scores=scores,
        boxes=None,
        prediction_images=found_images,
        warnings=(),
    )
    return match(problem)


def sample(of: Matches, images: int, generator: np.random.Generator) -> Matches:
    """Some images of a population, each at most once."""
    chosen = np.zeros(len(of.image_ids), dtype=bool)
    chosen[generator.choice(len(chosen), images, replace=False)] = True
    return of.of_images(chosen)
