"""AP by level of crowding: of photographs by crowdIndex, of drawn scenes by the level they were drawn at."""

from pathlib import Path
from typing import Any

from support.runs.fake_runs import make_run, published_row

from crowdbench.leaderboard.board import build_leaderboard
from crowdbench.leaderboard.by_crowding import by_crowding
from crowdbench.leaderboard.table import LeaderboardTable
from crowdbench.run_store.run import Run

LEVELS = {"AP_easy": 0.8, "AP_medium": 0.7, "AP_hard": 0.55}


def shown(runs: list[Run], *rows: Any) -> list[LeaderboardTable]:
    return by_crowding(build_leaderboard(runs, rows), runs)


def names(table: LeaderboardTable) -> list[str]:
    return [column.name for column in table.columns]


def values(table: LeaderboardTable, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(entry.values.get(name) for name in columns) for entry in table.entries]


def drawn(root: Path, number: int, ap: float, level: float, **changes: Any) -> Run:
    digest = changes.pop("annotations", f"{level}".ljust(64, "0"))
    return make_run(
        root,
        number,
        ap,
        dataset="drawn",
        split=f"test-crowding-{level:g}",
        annotations=digest,
        images=100,
        **changes,
    )


def test_levels_stand_side_by_side_with_what_is_lost_between_them(tmp_path: Path) -> None:
    row = published_row(ap=75.0, ap_easy=83.0, ap_medium=76.0, ap_hard=67.0)
    (table,) = shown([make_run(tmp_path, 1, 0.7, scores=LEVELS)], row)
    assert names(table)[:6] == ["method", "AP", "AP_easy", "AP_medium", "AP_hard", "hard - easy"]
    drops = [drop for (drop,) in values(table, "hard - easy")]
    assert [round(drop, 6) for drop in drops] == [-16.0, -25.0]
    assert table.sources


def test_tables_of_datasets_without_levels_are_left_out(tmp_path: Path) -> None:
    other = make_run(tmp_path, 1, 0.7, dataset="coco", split="val2017", scores={"AP_medium_area": 0.5})
    assert shown([other]) == []


def test_runs_of_one_method_at_several_levels_are_a_row(tmp_path: Path) -> None:
    runs = [
        drawn(tmp_path, 10 * m + n, 0.9 - m / 10 - n / 100, level, method=f"method-{m}")
        for m in range(2)
        for n, level in enumerate((0.0, 0.25, 1.0))
    ]
    (table,) = shown(runs)
    assert table.title == "drawn test by crowding, ground-truth boxes"
    found = values(table, "method", "AP at 0", "AP at 0.25", "AP at 1")
    assert [row[0] for row in found] == ["method-0", "method-1"]
    assert [round(number) for number in found[1][1:]] == [80, 79, 78]
    assert table.best == {(0, name) for name in ("AP at 0", "AP at 0.25", "AP at 1")}


def test_a_level_that_was_not_run_is_an_empty_cell(tmp_path: Path) -> None:
    runs = [drawn(tmp_path, 1, 0.9, 0.0, method="a"), drawn(tmp_path, 2, 0.8, 0.5, method="b")]
    (table,) = shown(runs)
    assert values(table, "method", "AP at 0", "AP at 0.5") == [("a", 90.0, None), ("b", None, 80.0)]


def test_other_boxes_images_or_scenes_make_another_table(tmp_path: Path) -> None:
    runs = [
        drawn(tmp_path, 1, 0.9, 0.5, method="a"),
        drawn(tmp_path, 2, 0.9, 0.5, method="b", boxes="none"),
        drawn(tmp_path, 3, 0.9, 0.5, method="c", complete=False),
        drawn(tmp_path, 4, 0.9, 0.5, method="d", annotations="f" * 64),
    ]
    assert [len(table.entries) for table in shown(runs)] == [1, 1, 1, 1]


def test_of_two_runs_of_one_level_the_later_stands_for_both(tmp_path: Path) -> None:
    runs = [
        drawn(tmp_path, 1, 0.9, 0.5, method="a", finished="2026-02-02T00:00:00+00:00"),
        drawn(tmp_path, 2, 0.8, 0.5, method="a", finished="2026-01-01T00:00:00+00:00"),
    ]
    (table,) = shown(runs)
    assert values(table, "AP at 0.5") == [(90.0,)]


def test_settings_and_weights_make_rows_of_their_own(tmp_path: Path) -> None:
    runs = [
        drawn(tmp_path, 1, 0.9, 0.5, method="a"),
        drawn(tmp_path, 2, 0.8, 0.5, method="a", settings={"flip_test": False}),
        drawn(tmp_path, 3, 0.7, 0.5, method="a", seed=1),
    ]
    (table,) = shown(runs)
    assert len(table.entries) == 3
