"""Data for pages: `PageData` made by hand, without runs behind it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crowdbench.report.data import (
    ERRORS,
    KINDS,
    Chart,
    DrawnPose,
    Errors,
    GalleryImage,
    Line,
    PageData,
    Panel,
    RunPart,
    Section,
)
from crowdbench_datasets.keypoint_sets import CROWDPOSE_14

HOSTILE = "\"'><script>window.hacked=1</script><img src=x onerror=window.hacked=1></style>&amp;\x00\x1b"
"""Closes whatever is open and runs what must not run; with characters that no page may hold."""


def noise(seed: int, width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    """A picture that JPEG makes little smaller: coarse noise under fine noise."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.integers(0, 200, (height // 16, width // 16, 3)), np.ones((16, 16, 1)))
    return (coarse + rng.integers(0, 50, (height, width, 3))).astype(np.uint8)


def run_part(number: int, method: str | None = None) -> RunPart:
    """A run with figures of its own."""
    counts = dict(zip(KINDS, (70 - number % 40, 10, 8, 7, 5 + number % 40), strict=True))
    return RunPart(
        method=method or f"method-{number:02}",
        id=f"{number:010x}",
        directory=f"runs/crowdpose-test/method-{number:02}/{number:010x}",
        scores={"AP": 0.8 - number / 100, "AP50": 0.9, "AP_hard": -1.0},
        interval=(0.78 - number / 100, 0.82 - number / 100),
        protocol=(f"Trained with seed {number}.",),
        speed=(("persons a second", f"{100 - number}"), ("machine", "here")),
        provenance=(("weights", f"weights-{number}.pth"), ("weights' SHA-256", "ab" * 32)),
        errors=Errors(
            counts,
            dict.fromkeys(CROWDPOSE_14.keypoints, counts),
            dict.fromkeys(ERRORS, 1.5),
            dict.fromkeys(ERRORS, 1.0),
            3,
            number,
        ),
    )


def page_data(runs: int = 2, pictures: int = 2, persons: int = 3) -> PageData:
    """A page with so many runs and pictures in each of two parts of the gallery."""
    rng = np.random.default_rng(0)

    def pose() -> NDArray[np.float64]:
        x, y = rng.uniform(80, 560), rng.uniform(120, 360)
        points: NDArray[np.float64] = np.c_[
            rng.uniform(x - 50, x + 50, 14), rng.uniform(y - 100, y + 100, 14), np.full(14, 2.0)
        ]
        return points

    def picture(number: int) -> GalleryImage:
        return GalleryImage(
            image_id=number,
            name=f"{number:06}.jpg",
            width=640,
            height=480,
            words=f"{number:06}.jpg · {persons} persons",
            read=lambda: noise(number),
            truth=tuple(pose() for _ in range(persons)),
            panels=tuple(
                Panel(
                    run,
                    f"mean OKS 0.{number % 90 + 10}",
                    tuple(DrawnPose(pose(), person, ("swap", "miss")) for person in range(persons)),
                )
                for run in range(runs)
            ),
        )

    recall = tuple(n / 100 for n in range(101))
    return PageData(
        dataset="crowdpose",
        split="test",
        keypoints=CROWDPOSE_14,
        runs=tuple(map(run_part, range(runs))),
        protocol=("All 8000 images of crowdpose test.",),
        charts=(
            Chart(
                "Precision over recall",
                "recall",
                "precision",
                tuple(
                    Line(run, recall, tuple(1 - r * (run + 1) / 60 for r in recall)) for run in range(runs)
                ),
                (0, 1),
                1,
                ((0, "0"), (1, "1")),
            ),
        ),
        gallery=(
            Section("The worst", "By OKS.", tuple(map(picture, range(pictures)))),
            Section("Some at random", "Drawn.", tuple(map(picture, range(pictures, 2 * pictures)))),
        ),
        made_by="crowdbench",
        command="crowdbench report runs",
    )


def hostile_data() -> PageData:
    """A page on which every word is an attack."""
    data = page_data(2, 1)
    layout = replace(data.keypoints, keypoints=tuple(f"{HOSTILE}{n}" for n in range(14)))

    def hostile(part: RunPart) -> RunPart:
        assert part.errors is not None
        errors = replace(
            part.errors,
            by_keypoint=dict.fromkeys(layout.keypoints, part.errors.keypoints),
            alone={HOSTILE: 1.0},
            advice=HOSTILE,
        )
        return replace(
            part,
            method=HOSTILE,
            id=part.id + HOSTILE,
            scores={"AP": 0.5, HOSTILE: 0.5},
            protocol=(HOSTILE + part.id,),
            speed=((HOSTILE, HOSTILE), ("machine", HOSTILE)),
            provenance=((HOSTILE, HOSTILE), ("directory", "runs/\udcff")),
            warnings=(HOSTILE,),
            errors=errors,
        )

    return replace(
        data,
        dataset=HOSTILE,
        split=HOSTILE,
        keypoints=layout,
        runs=tuple(map(hostile, data.runs)),
        protocol=(HOSTILE,),
        notes=(HOSTILE,),
        notes_against_ranking=(HOSTILE,),
        charts=tuple(
            replace(c, title=HOSTILE, x_label=HOSTILE, y_label=HOSTILE, note=HOSTILE, x_ticks=((0, HOSTILE),))
            for c in data.charts
        ),
        gallery=tuple(
            replace(
                section,
                title=HOSTILE,
                words=HOSTILE,
                pictures=tuple(
                    replace(
                        picture,
                        name=HOSTILE,
                        words=HOSTILE,
                        panels=tuple(replace(panel, words=HOSTILE) for panel in picture.panels),
                    )
                    for picture in section.pictures
                ),
            )
            for section in data.gallery
        ),
        made_by=HOSTILE,
        command=HOSTILE,
    )
