"""Sentences about differences say no more than the numbers do."""

import pytest

from crowdbench.analysis.bootstrap import Difference, Differences
from crowdbench.analysis.verdict import p_value, verdict

SHOWN = Difference(0.74, 0.72, 0.02, 0.011, 0.029, 0.002)
OPEN = Difference(0.74, 0.73, 0.01, -0.004, 0.024, 0.16)
NOBODY = Difference(-1, -1, None, None, None, None)
HANDFUL = Difference(0.74, 0.72, 0.02, None, None, None)


def turned(one: Difference) -> Difference:
    assert one.difference is not None
    assert one.low is not None
    assert one.high is not None
    return Difference(one.second, one.first, -one.difference, -one.high, -one.low, one.p)


def test_a_shown_difference_is_told_with_its_bounds() -> None:
    assert verdict("a", "b", 500, Differences(SHOWN, {})) == (
        "a is better than b by 2.0 AP (95 % interval 1.1 to 2.9, p = 0.002): more than the choice of these "
        "500 images explains."
    )


@pytest.mark.parametrize("one", [SHOWN, OPEN], ids=["shown", "open"])
def test_the_sentence_is_the_same_in_the_other_order(one: Difference) -> None:
    found, other = Differences(one, {"hard": one}), Differences(turned(one), {"hard": turned(one)})
    assert verdict("a", "b", 500, found) == verdict("b", "a", 500, other)


def test_an_interval_that_holds_0_allows_no_conclusion() -> None:
    said = verdict("a", "b", 500, Differences(OPEN, {}))
    assert said.startswith("Nothing may be concluded: a is 1.0 AP ahead of b on these 500 images, but ")


@pytest.mark.parametrize(
    ("p", "expected"), [(0.01, True), (0.017, False), (0.04, False)], ids=["below", "just above", "above"]
)
def test_each_of_three_levels_must_show_three_times_as_much(p: float, expected: bool) -> None:
    level = Difference(0.74, 0.72, 0.02, 0.001, 0.039, p)
    levels = {"easy": OPEN, "medium": OPEN, "hard": level}
    said = verdict("a", "b", 500, Differences(OPEN, levels))
    assert ("a is shown to be ahead of b on hard" in said) is expected


def test_levels_where_each_is_ahead_are_told_apart() -> None:
    levels = {"easy": SHOWN, "medium": SHOWN, "hard": turned(SHOWN)}
    said = verdict("a", "b", 500, Differences(OPEN, levels))
    assert "a is shown to be ahead of b on easy and medium." in said
    assert "b is shown to be ahead of a on hard." in said


def test_a_difference_that_no_level_shows_by_itself_is_said_to_be_such() -> None:
    levels = {"easy": OPEN, "medium": OPEN, "hard": NOBODY}
    assert "No crowding level by itself" in verdict("a", "b", 500, Differences(SHOWN, levels))
    assert "crowding" not in verdict("a", "b", 500, Differences(OPEN, levels))
    assert "crowding" not in verdict("a", "b", 500, Differences(SHOWN, {}))


@pytest.mark.parametrize(
    ("one", "reason"),
    [(NOBODY, "there are no persons"), (HANDFUL, "3 images are too few")],
    ids=["nobody", "few"],
)
def test_where_nothing_can_be_said_that_is_said(one: Difference, reason: str) -> None:
    said = verdict("a", "b", 3, Differences(one, {}))
    assert said.startswith("Nothing may be concluded: ")
    assert reason in said


def test_a_small_p_is_never_written_as_0() -> None:
    assert [p_value(p) for p in (1.0, 0.5, 0.099, 0.002, 0.0001, None)] == [
        *("1.00", "0.50", "0.099", "0.002", "< 0.001", "-"),
    ]
