"""The images that a report shows."""

import numpy as np

from crowdbench.report.image_choice import chosen_images

NAN = float("nan")


def test_the_worst_come_first_and_no_image_twice() -> None:
    quality = np.array([[0.9, 0.1, 0.5, 0.2, 0.8, 0.7]])
    swapped = np.array([[0, 9, 1, 0, 4, 0]])
    worst, most_swapped, random = chosen_images(quality, swapped, 2, seed=0)
    assert worst.images == (1, 3)
    assert most_swapped.images == (4, 2)
    assert set(random.images) == {0, 5}


def test_images_with_nobody_to_find_are_not_chosen() -> None:
    parts = chosen_images(np.array([[NAN, 0.5]]), np.array([[7, 0]]), 5, seed=0)
    assert [part.images for part in parts] == [(1,)]


def test_several_runs_are_shown_where_they_differ() -> None:
    quality = np.array([[0.9, 0.5, 0.3], [0.1, 0.5, 0.3]])
    first = chosen_images(quality, np.zeros((2, 3), dtype=np.int64), 1, seed=0)[0]
    assert first.title == "Where the runs differ most"
    assert first.images == (0,)


def test_equal_seeds_draw_equal_images() -> None:
    quality, swapped = np.ones((1, 100)), np.zeros((1, 100), dtype=np.int64)
    drawn = [chosen_images(quality, swapped, 5, seed=seed)[-1].images for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]
