import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.runs.fake_runs import AS_PUBLISHED, make_run, published_row, write_interval

from crowdbench.api.extent import Extent
from crowdbench.cli.leaderboard import leaderboard
from crowdbench.errors import MissingDataError, SettingsError
from crowdbench.leaderboard.board import LeaderboardTable, build_leaderboard, to_markdown, to_text
from crowdbench.leaderboard.published import all_published
from crowdbench.leaderboard.published_match import DetectorAliases
from crowdbench.leaderboard.table import cell
from crowdbench.run_store.run import Run
from crowdbench.run_store.scan import find_runs, runs


def test_a_record_survives_writing_and_reading(tmp_path: Path) -> None:
    run = make_run(tmp_path, 1, 0.5)
    assert Run.read(run.directory) == run
    assert run.directory == tmp_path / "crowdpose-test" / "method-1" / "0000000001"


def test_best_comes_first_and_a_split_without_persons_shows_no_number(tmp_path: Path) -> None:
    (table,) = build_leaderboard([make_run(tmp_path, 1, 0.5), make_run(tmp_path, 2, 0.7)])
    assert list(table.rows["method"]) == ["method-2", "method-1"]
    assert list(table.rows["AP"]) == [70.0, 50.0]
    assert table.rows["AP_hard"].isna().all()
    assert "70.0" in to_text([table])
    assert not re.search(r"\bnan\b", to_text([table]))
    assert "-1" not in to_text([table]).replace("method-1", "")
    assert to_markdown([table]).startswith("**crowdpose test, ground-truth boxes")


def test_settings_that_are_not_as_published_are_told_apart(tmp_path: Path) -> None:
    published = make_run(tmp_path, 1, 0.5)
    changed = make_run(tmp_path, 2, 0.7, changed_settings={"nms_threshold": 0.8, "group_detections": True})
    (table,) = build_leaderboard([published, changed])
    assert list(table.rows["not as published"]) == ["group_detections=true nms_threshold=0.8", ""]
    assert "group_detections=true" in to_text([table])
    assert "not as published" not in to_text(build_leaderboard([published]))


@pytest.mark.parametrize(
    "difference",
    [
        {"boxes": "detector:0123456789abcdef"},
        {"boxes": "none"},
        {"dataset": "ochuman"},
        {"split": "val"},
        {"annotations": "b" * 64},
        {"images": 100, "complete": False},
    ],
    ids=lambda d: next(iter(d)),
)
def test_runs_that_cannot_be_compared_never_share_a_table(tmp_path: Path, difference: dict[str, Any]) -> None:
    tables = build_leaderboard([make_run(tmp_path, 1, 0.5), make_run(tmp_path, 2, 0.7, **difference)])
    assert [len(table.rows) for table in tables] == [1, 1]
    assert tables[0].title != tables[1].title


def test_unfinished_failed_and_unscored_runs_are_not_ranked(tmp_path: Path) -> None:
    found = [
        make_run(tmp_path, 1, None, state="running"),
        make_run(tmp_path, 2, None, state="failed"),
        make_run(tmp_path, 3, None),
    ]
    assert build_leaderboard(found) == []


def test_foreign_and_half_written_directories_are_passed_over(tmp_path: Path) -> None:
    make_run(tmp_path, 1, 0.5)
    for name, content in {"a": b"", "b": b"{", "c": b"[]", "d": b'{"id": 3}'}.items():
        folder = tmp_path / "crowdpose-test" / "foreign" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_bytes(content)
    (tmp_path / "notes.txt").write_text("mine")
    assert len(find_runs(tmp_path)) == 1


def test_a_record_of_a_newer_version_is_read_as_far_as_it_is_understood(tmp_path: Path) -> None:
    run = make_run(tmp_path, 1, 0.5)
    path = run.directory / "run.json"
    path.write_text(path.read_text().replace('"schema"', '"a_field_of_tomorrow": {"x": 1}, "schema"'))
    assert find_runs(tmp_path) == [run]


def test_runs_as_a_frame_hold_protocol_and_scores_side_by_side(tmp_path: Path) -> None:
    make_run(tmp_path, 1, 0.5)
    frame = runs(tmp_path)
    assert frame.loc[0, ["method", "dataset", "boxes", "AP"]].to_list() == [
        "method-1",
        "crowdpose",
        "gt",
        0.5,
    ]


def test_an_id_that_looks_like_a_number_is_printed_as_it_is(tmp_path: Path) -> None:
    run = make_run(tmp_path, 1, 0.5)
    odd = Run(run.directory, dataclasses.replace(run.record, id="31e4000000"))
    assert "31e4000000" in to_text(build_leaderboard([odd]))


def test_the_command_prints_every_format(tmp_path: Path) -> None:
    make_run(tmp_path, 1, 0.5)
    for style, sign in (("text", "ground-truth boxes"), ("markdown", "|"), ("json", '"AP":50.0')):
        result = CliRunner().invoke(leaderboard, [str(tmp_path), "--format", style])
        assert result.exit_code == 0
        assert sign in result.output


def test_a_folder_that_is_not_there_is_an_error_and_an_empty_one_is_not(tmp_path: Path) -> None:
    result = CliRunner().invoke(leaderboard, [str(tmp_path)])
    assert result.exit_code == 0
    assert "No finished run" in result.output
    assert isinstance(CliRunner().invoke(leaderboard, [str(tmp_path / "none")]).exception, MissingDataError)


# Published figures


DETECTOR_56 = "COCO_val2017_detections_AP_H_56_person.json (person AP 56.4)"
I2RNET_AND_PINET = {
    # name, dataset, split, boxes: APs as their sources print them
    ("i2rnet-vanilla", "crowdpose", "test", "gt"): [72.3],
    ("i2rnet-transpose", "crowdpose", "test", "gt"): [76.3],
    ("i2rnet-hrformer", "crowdpose", "test", "gt"): [77.4],
    ("i2rnet-vanilla", "ochuman", "disputed (val|test)", "gt"): [64.3],
    ("i2rnet-transpose", "ochuman", "disputed (val|test)", "gt"): [66.5],
    ("i2rnet-hrformer", "ochuman", "disputed (val|test)", "gt"): [67.8],
    ("i2rnet-vanilla", "coco", "val2017", f"detector:{DETECTOR_56}"): [75.3],
    ("i2rnet-transpose", "coco", "val2017", f"detector:{DETECTOR_56}"): [75.8],
    ("i2rnet-hrformer", "coco", "val2017", f"detector:{DETECTOR_56}"): [76.4, 77.3],
    ("pinet", "crowdpose", "test", "none"): [68.9],
    ("pinet", "ochuman", "test", "none"): [59.8],
    ("pinet", "coco", "val2017", "none"): [67.3],
}


def column(table: LeaderboardTable, name: str) -> list[Any]:
    return [entry.values.get(name) for entry in table.entries]


def test_the_ten_rows_of_i2rnet_and_the_three_of_pinet_stand_under_their_protocol() -> None:
    found: dict[tuple[Any, ...], list[Any]] = {}
    for table in build_leaderboard([], all_published()):
        assert table.is_ranked or not any(
            s.values.get("name") in ("pinet", "i2rnet-hrformer") for s in table.entries
        )
        for entry in table.entries:
            name = str(entry.values.get("name"))
            if name.startswith("i2rnet-") or name == "pinet":
                key = (name, table.dataset, table.split, table.boxes)
                found[key] = sorted([*found.get(key, []), entry.values["AP"]])
    assert found == I2RNET_AND_PINET
    assert sum(map(len, found.values())) == 13


def test_every_published_row_is_shown_once_with_its_source_and_note() -> None:
    tables = build_leaderboard([], all_published())
    shown = [entry for table in tables for entry in table.entries]
    assert len(shown) == len(all_published())
    assert sorted(str(s.values["source"]) for s in shown) == sorted(row.source for row in all_published())
    for table in tables:
        for entry in table.entries:
            assert entry.footnote is not None
            said = table.sources[entry.footnote - 1]
            assert said.startswith(str(entry.values["source"]))
            assert said.endswith(str(entry.values.get("note", "")))


def test_rows_that_leave_their_boxes_open_are_in_no_ranking() -> None:
    """Boxes that are not stated, and detectors that are not named."""
    left_open = [
        row.source
        for row in all_published()
        if row.protocol not in ("gt-box", "bottom-up", "single-stage")
        and (row.protocol == "unstated" or not row.detector)
    ]
    assert len(left_open) > 10
    not_ranked = []
    for table in build_leaderboard([], all_published()):
        assert table.is_ranked == ("not ranked" not in table.title)
        if not table.is_ranked:
            assert not table.best
            assert column(table, "method") == sorted(column(table, "method"), key=str.casefold)
            not_ranked += column(table, "source")
    assert sorted(not_ranked) == sorted(left_open)


@pytest.mark.parametrize("by_crowding", [[], ["--by-crowding"]], ids=["", "by-crowding"])
@pytest.mark.parametrize(
    "others",
    [[], ["--boxes", "*"], ["--boxes", "gt", "--boxes", "det*"], ["--complete"], ["--sort", "AP_hard"]],
    ids="-".join,
)
@pytest.mark.parametrize(
    "claim",
    [[], ["--detector", "0123456789abcdef=YOLOv3"], ["--detector", "gt=YOLOv3", "--detector", "none=YOLOv3"]],
    ids=["", "claim", "false-claim"],
)
def test_no_flag_ranks_ground_truth_boxes_detectors_and_no_boxes_together(
    tmp_path: Path, by_crowding: list[str], others: list[str], claim: list[str]
) -> None:
    levels = {"AP_easy": 0.8, "AP_medium": 0.7, "AP_hard": 0.6}
    places = ("gt", "none", "detector:0123456789abcdef", "detector:fedcba9876543210", "unknown (a)")
    kept = {
        run.record.id: run
        for run in (
            make_run(tmp_path, n, 0.5 + n / 100, boxes=boxes, scores=levels) for n, boxes in enumerate(places)
        )
    }
    options = ["--published", *by_crowding, *others, *claim]
    result = CliRunner().invoke(leaderboard, [str(tmp_path), "--json", *options])
    assert result.exit_code == 0, result.output
    tables = json.loads(result.stdout)
    assert len(tables) > 1
    told = {"gt-box": "gt", "bottom-up": "none", "single-stage": "none"}
    for table in filter(lambda table: table["ranked"], tables):
        found = set()
        for row in table["rows"]:
            if row.get("protocol"):
                found.add(told.get(row["protocol"], f"{row['protocol']} {row.get('detector')}"))
            else:
                boxes = kept[row["run"]].record.protocol.boxes
                is_claimed = claim[1:] == ["0123456789abcdef=YOLOv3"] and boxes == "detector:0123456789abcdef"
                found.add("detector YOLOv3" if is_claimed else boxes)
        assert len(found) == 1, table["title"]


def test_published_rows_stand_beside_a_complete_run_of_the_published_split(tmp_path: Path) -> None:
    (table,) = build_leaderboard(
        [make_run(tmp_path, 1, 0.71)], [published_row(ap=72.5), published_row(ap=70.5)]
    )
    assert column(table, "AP") == [72.5, 71.0, 70.5]
    assert column(table, "provenance") == ["published", "complete", "published"]
    assert any("8,000 images" in note and "annotation file" in note for note in table.notes)
    assert table.sources == ("somebody/somewhere:README.md",)


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        pytest.param({"complete": False, "images": 100}, "first 100 of 8,000 images", id="partial"),
        pytest.param({"images": 2}, "2 of 8,000 images", id="complete-but-a-sample"),
        pytest.param({"images": 8001}, "own annotations (8,001 images)", id="more-than-there-are"),
        pytest.param(
            {"extent": Extent(8000, 8000, "my.json")}, "own annotations my.json (8,000 images)", id="own"
        ),
        pytest.param({"boxes": "none"}, "complete", id="boxes"),
        pytest.param({"boxes": "detector:00"}, "complete", id="detector"),
        pytest.param({"boxes": "unknown (a)"}, "complete", id="unknown boxes"),
        pytest.param({"split": "val", "images": 2000}, "complete", id="split"),
        pytest.param({"dataset": "nobodys"}, "complete", id="dataset-that-is-not-installed"),
    ],
)
def test_published_rows_stand_apart_from_runs_of_another_protocol(
    tmp_path: Path, difference: dict[str, Any], words: str
) -> None:
    measured, apart = build_leaderboard([make_run(tmp_path, 1, 0.71, **difference)], [published_row()])
    assert column(measured, "provenance") == [words]
    assert column(apart, "provenance") == ["published"]
    assert apart.annotations is None


def test_published_rows_join_neither_of_two_annotation_files(tmp_path: Path) -> None:
    kept = [make_run(tmp_path, 1, 0.71), make_run(tmp_path, 2, 0.72, annotations="b" * 64)]
    tables = build_leaderboard(kept, [published_row()])
    assert [len(table.entries) for table in tables] == [1, 1, 1]
    assert "more than one annotation file" in tables[2].notes[0]


def test_rows_with_boxes_of_different_detectors_stand_in_different_tables() -> None:
    rows = [published_row(protocol="detector", detector=name) for name in ("YOLOv3", "YOLOv3", "YOLOX")]
    assert [len(table.entries) for table in build_leaderboard([], rows)] == [1, 2]


def test_a_detectors_rows_join_a_run_only_if_somebody_says_that_it_is_the_same(tmp_path: Path) -> None:
    kept = [make_run(tmp_path, 1, 0.6, boxes="detector:0123456789abcdef")]
    rows = [published_row(protocol="detector", detector="YOLOv3 (608)")]
    measured, apart = build_leaderboard(kept, rows)
    assert "--detector HASH=NAME" in apart.notes[0]
    assert len(measured.entries) == 1
    (joined,) = build_leaderboard(kept, rows, claims=DetectorAliases.read(["0123=YOLOv3*"], rows))
    assert column(joined, "provenance") == ["published", "complete"]
    assert any("attributed to" in note for note in joined.notes)


@pytest.mark.parametrize(
    ("claim", "complaint"),
    [
        ("0123", "is not HASH=NAME"),
        ("=YOLOv3", "is not HASH=NAME"),
        ("0123=YOLO", "no published detectors are called 'YOLO'"),
        ("0123=*", "2 published detectors are called"),
    ],
)
def test_a_claim_names_one_published_detector(claim: str, complaint: str) -> None:
    rows = [published_row(protocol="detector", detector=name) for name in ("YOLOv3", "YOLOX")]
    with pytest.raises(SettingsError, match=re.escape(complaint)):
        DetectorAliases.read([claim], rows)


# Deltas


@pytest.mark.parametrize("shown", [False, True], ids=["alone", "published-beside"])
def test_the_difference_to_the_methods_own_published_figure_is_signed_and_in_points(
    tmp_path: Path, shown: bool
) -> None:
    kept = [
        make_run(tmp_path, 1, 0.769, method="i2rnet-hrformer", **AS_PUBLISHED),
        make_run(tmp_path, 2, 0.7633, method="i2rnet-transpose", **AS_PUBLISHED),
        make_run(tmp_path, 3, 0.7301, method="i2rnet-vanilla", **AS_PUBLISHED),
        make_run(tmp_path, 4, 0.7, method="nobodys", **AS_PUBLISHED),
    ]
    table = build_leaderboard(kept, all_published() if shown else ())[0]
    place = table_columns(table).index("vs published")
    deltas = [cell(table.columns[place], entry) for entry in table.entries if not entry.is_published]
    assert deltas == ["-0.5", "0.0", "+0.7", ""]


def table_columns(table: LeaderboardTable) -> list[str]:
    return [column.name for column in table.columns]


@pytest.mark.parametrize(
    "difference",
    [
        pytest.param({"boxes": "none"}, id="boxes"),
        pytest.param({"boxes": "detector:00"}, id="detector"),
        pytest.param({"split": "val", "images": 2000}, id="split"),
        pytest.param({"complete": False, "images": 100}, id="partial"),
        pytest.param({"images": 2}, id="complete-but-a-sample"),
        pytest.param({"input_size": (384, 288)}, id="input"),
        pytest.param({"flip_test": False}, id="flip-test"),
        pytest.param({"training_data": "crowdpose train"}, id="training-data"),
        pytest.param({"training_data": "none"}, id="random-weights"),
        pytest.param({"training_data": None}, id="unknown-training-data"),
        pytest.param({"changed_settings": {"nms_threshold": 0.5}}, id="settings"),
        pytest.param({"method": "hrformer-b"}, id="method"),
    ],
)
def test_there_is_no_difference_to_a_figure_of_another_protocol(
    tmp_path: Path, difference: dict[str, Any]
) -> None:
    run = make_run(tmp_path, 1, 0.769, **{"method": "i2rnet-hrformer", **AS_PUBLISHED, **difference})
    (table,) = build_leaderboard([run])
    assert column(table, "vs published") == [None]
    assert "vs published" not in to_text([table])


def test_a_split_that_its_source_leaves_open_gives_no_difference(tmp_path: Path) -> None:
    place = {"dataset": "ochuman", "images": 2231, "training_data": "ochuman val"}
    (table,) = build_leaderboard([make_run(tmp_path, 1, 0.67, method="i2rnet-hrformer", **place)])
    assert column(table, "vs published") == [None]


def test_a_figure_of_the_runs_own_input_is_taken_where_several_are_printed(tmp_path: Path) -> None:
    place = {"dataset": "coco", "split": "val2017", "images": 5000, "training_data": "coco train2017"}
    own = {"method": "i2rnet-hrformer", "boxes": "detector:0123456789abcdef", **place}
    kept = [
        make_run(tmp_path, 1, 0.765, **own),
        make_run(
            tmp_path, 2, 0.77, **own, input_size=(384, 288), changed_settings={"input_size": [384, 288]}
        ),
    ]
    claims = DetectorAliases.read(["0123=*AP_H_56*"], all_published())
    (table,) = build_leaderboard(kept, claims=claims)
    assert column(table, "vs published") == pytest.approx([77.0 - 77.3, 76.5 - 76.4])


# What is best, and what cannot be told apart


def test_the_best_of_every_statistic_is_marked(tmp_path: Path) -> None:
    kept = [
        make_run(tmp_path, 1, 0.70, scores={"AP50": 0.9, "AR": 0.75}),
        make_run(tmp_path, 2, 0.71, scores={"AP50": 0.8, "AR": 0.75}),
    ]
    (table,) = build_leaderboard(kept)
    assert table.best == {(0, "AP"), (1, "AP50"), (0, "AR"), (1, "AR")}
    assert not build_leaderboard(kept[:1])[0].best


def test_a_published_row_is_best_only_of_rows_that_it_may_be_compared_with(tmp_path: Path) -> None:
    own = {"train": "crowdpose trainval", "tta": "flip"}
    rows = [
        published_row(ap=80.0, train="everything", tta="flip"),
        published_row(ap=79.0),
        published_row(ap=75.0, **own),
        published_row(ap=74.0, **own),
    ]
    run = make_run(tmp_path, 1, 0.70, **AS_PUBLISHED)
    (table,) = build_leaderboard([run], rows)
    assert [s.values["AP"] for i, s in enumerate(table.entries) if (i, "AP") in table.best] == [75.0]
    better = make_run(tmp_path, 2, 0.76, **AS_PUBLISHED)
    (table,) = build_leaderboard([run, better], rows)
    assert [s.values["AP"] for i, s in enumerate(table.entries) if (i, "AP") in table.best] == [76.0]
    assert any("not ranked against each other" in note for note in table.notes)


def test_runs_whose_intervals_overlap_with_the_bests_are_named(tmp_path: Path) -> None:
    best, near, far = (make_run(tmp_path, n, ap) for n, ap in ((1, 0.72), (2, 0.70), (3, 0.60)))
    write_interval(best, 0.705, 0.735)
    write_interval(near, 0.685, 0.715)
    write_interval(far, 0.58, 0.62)
    (table,) = build_leaderboard([far, near, best])
    assert column(table, "95 % interval") == ["70.5 to 73.5", "68.5 to 71.5", "58.0 to 62.0"]
    (note,) = table.notes
    assert note.startswith("Not distinguishable from method-1 (0000000001) by AP")
    assert "method-2" in note
    assert "method-3" not in note


def test_intervals_that_do_not_overlap_are_no_tie(tmp_path: Path) -> None:
    best, other = make_run(tmp_path, 1, 0.72), make_run(tmp_path, 2, 0.60)
    write_interval(best, 0.70, 0.74)
    write_interval(other, 0.58, 0.62)
    assert build_leaderboard([best, other])[0].notes == ()


# What a run costs


def test_speed_stands_with_the_machine_and_how_the_network_was_run(tmp_path: Path) -> None:
    timings = {"persons_per_s": 123.45, "processes": 4.0}
    gpu = make_run(tmp_path, 1, 0.7, timings=timings, host={"gpu": "NVIDIA H200"}, precision="bf16")
    cpu = make_run(
        tmp_path, 2, 0.6, timings={"persons_per_s": 5.0}, host={"name": "desk", "threads": 1}, compiled=True
    )
    odd = make_run(tmp_path, 3, 0.5, timings={"persons_per_s": 1.0}, host={"gpu": ["?"], "name": 3})
    (table,) = build_leaderboard([gpu, cpu, odd])
    assert column(table, "machine") == ["4 x NVIDIA H200, bf16", "desk, 1 thread, compiled", "['?']"]
    assert column(table, "persons/s") == [123.45, 5.0, 1.0]


def test_what_a_method_finds_by_itself_is_not_counted_as_persons(tmp_path: Path) -> None:
    timings = {"persons_per_s": 300.0, "images_per_s": 10.0}
    (table,) = build_leaderboard(
        [make_run(tmp_path, 1, 0.7, boxes="none", paradigm="bottom-up", timings=timings)]
    )
    assert column(table, "images/s") == [10.0]
    assert "persons/s" not in table_columns(table)


def test_parameters_and_operations_are_counted_once_and_read_ever_after(tmp_path: Path) -> None:
    settings = {"flip_test": True}
    run = make_run(tmp_path, 1, 0.7, method="hrnet-tiny", dataset="synthcrowd", settings=settings)
    assert "params (M)" not in table_columns(build_leaderboard([run])[0])
    (table,) = build_leaderboard([run], complexity=True)
    assert {"params (M)", "GFLOPs/person"} <= set(table_columns(table))
    again = build_leaderboard([run])[0].entries[0].values
    assert (again["params (M)"], again["GFLOPs/person"]) == (
        table.entries[0].values["params (M)"],
        table.entries[0].values["GFLOPs/person"],
    )


def test_a_method_that_is_not_installed_here_costs_no_more_than_its_cells(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (table,) = build_leaderboard([make_run(tmp_path, 1, 0.7)], complexity=True)
    assert "params (M)" not in table_columns(table)
    assert "cannot be counted here" in caplog.text


def test_a_run_in_doubt_is_marked_and_the_reason_stands_beneath(tmp_path: Path) -> None:
    doubts = ["all 5 predictions have the score 1: AP depends on their order", "are they negated?"]
    runs = [make_run(tmp_path, 1, 0.71), make_run(tmp_path, 2, 0.5, doubts=doubts)]
    (table,) = build_leaderboard(runs)
    assert column(table, "in doubt") == [None, "!"]
    assert table.notes[0] == f"! method-2 (0000000002): {'; '.join(doubts)}"
    assert build_leaderboard(runs[:1])[0].columns == tuple(c for c in table.columns if c.name != "in doubt")
    many = [make_run(tmp_path, number, 0.5, doubts=["x"]) for number in range(3, 12)]
    notes = build_leaderboard(many)[0].notes
    assert sum(note.startswith("! method-") for note in notes) == 5
    assert any("4 more rows are in doubt" in note for note in notes)
