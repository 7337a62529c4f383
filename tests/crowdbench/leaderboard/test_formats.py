"""Each format says what the tables hold, and names from anywhere stay names in it."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from support.runs.fake_runs import AS_PUBLISHED, HOSTILE, make_run, published_row

from crowdbench.leaderboard.board import LeaderboardTable, build_leaderboard
from crowdbench.leaderboard.formats import to_csv, to_json, to_latex, to_markdown, to_text
from crowdbench.run_store.record import Record
from crowdbench.run_store.run import Run
from crowdbench.system.text import plain

STATISTICS = {"AP50": 0.9, "AP75": -1.0}


@pytest.fixture
def hostile(tmp_path: Path) -> LeaderboardTable:
    """A table whose names and sources mean harm, of runs that nobody has to have written."""
    made = [
        make_run(tmp_path, n, 0.9 - n / 100, scores=STATISTICS, **AS_PUBLISHED) for n in range(len(HOSTILE))
    ]
    # Renamed when they are there: no file could have some of the names.
    runs = [Run(run.directory, renamed(run.record, name)) for run, name in zip(made, HOSTILE, strict=True)]
    rows = [published_row(method=name, source=name, note=name, ap=10.0) for name in HOSTILE]
    (table,) = build_leaderboard(runs, rows)
    return table


def renamed(record: Record, name: str) -> Record:
    return replace(
        record,
        method=name,
        weights=replace(record.weights, source=name),
        host={"gpu": name},
        timings={"persons_per_s": 1.0},
    )


def methods(table: LeaderboardTable) -> list[str]:
    return [plain(str(entry.values["method"])) for entry in table.entries]


def simple(tmp_path: Path) -> LeaderboardTable:
    runs = [make_run(tmp_path, 1, 0.7, scores=STATISTICS), make_run(tmp_path, 2, 0.6, scores=STATISTICS)]
    (table,) = build_leaderboard(runs)
    return table


# Terminal


def test_in_a_terminal_columns_are_aligned_and_the_best_is_bold(tmp_path: Path) -> None:
    table = simple(tmp_path)
    lines = to_text([table]).splitlines()
    assert lines[2:] == [
        "method      AP  AP50  AP75  input    provenance  weights  run",
        "--------  ----  ----  ----  -------  ----------  -------  ----------",
        "method-1  70.0  90.0     -  256x192  complete    random   0000000001",
        "method-2  60.0  90.0     -  256x192  complete    random   0000000002",
    ]
    styled = to_text([table], styled=True)
    assert "\x1b[1m70.0\x1b[0m" in styled
    assert "\x1b[1m60.0" not in styled
    assert styled.splitlines()[-1] == "Bold: the best of a column."


def test_nothing_a_name_holds_reaches_the_terminal_as_a_command(hostile: LeaderboardTable) -> None:
    text = to_text([hostile])
    assert all(line.isprintable() for line in text.split("\n"))
    # A row a line, whatever is in it.
    assert len([line for line in text.splitlines() if " published " in line]) == len(HOSTILE)


def test_wide_characters_take_two_cells_and_accents_none(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, 1, 0.7, method="漢字"), make_run(tmp_path, 2, 0.6, method="e\u0301\u0301ab")]
    lines = to_text(build_leaderboard(runs)).splitlines()
    wide, accented = lines[4], lines[5]
    assert wide.index("70.0") + 2 == accented.index("60.0") - 2


def test_a_narrow_terminal_gets_fewer_columns_and_is_told_which(tmp_path: Path) -> None:
    table = simple(tmp_path)
    text = to_text([table], width=45)
    assert all(len(line) <= 45 for line in text.splitlines()[2:6])
    assert text.splitlines()[2].startswith("method      AP")
    assert re.search(r"Too wide for this terminal: .*weights.*--format csv", text)
    assert "Too wide" not in to_text([table], width=200)


# Markdown


def cells(table: LeaderboardTable, text: str) -> tuple[list[list[str]], set[str]]:
    """The text of all cells as GitHub would show it, and the kinds of nodes in and around them."""
    root = SyntaxTreeNode(MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text))
    rows, kinds = [], set()
    for node in root.walk():
        kinds.add(node.type)
        if node.type == "tr":
            rows.append(
                [
                    "".join(leaf.content for leaf in cell.walk() if leaf.type == "text")
                    for cell in node.children
                ]
            )
    return rows, kinds


def test_markdown_shows_every_name_as_it_is_and_nothing_else(hostile: LeaderboardTable) -> None:
    rows, kinds = cells(hostile, to_markdown([hostile]))
    assert [row[0] for row in rows[1:]] == [name.strip() for name in methods(hostile)]
    assert {len(row) for row in rows} == {len(hostile.columns)}
    assert kinds <= {
        *("root", "paragraph", "inline", "text", "strong", "table", "thead", "tbody", "tr", "th", "td"),
    }


def test_in_markdown_the_best_is_bold_and_sources_stand_beneath(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, 1, 0.7), make_run(tmp_path, 2, 0.6)]
    text = to_markdown(build_leaderboard(runs, [published_row(note="a_note_")]))
    assert "| method-1 | **70.0** |" in text
    assert "| method-2 | 60.0 |" in text
    assert "\\[1\\] somebody/somewhere:README.md. a_note\\_" in text
    assert text.startswith("**crowdpose test, ground-truth boxes (annotations aaaaaaaa)**")


# LaTeX


def latex_text(source: str) -> str:
    """What LaTeX would print; fails on whatever is not text."""
    known = {
        r"\textbackslash{}": "\\",
        r"\textasciicircum{}": "^",
        r"\textasciitilde{}": "~",
        r"\textless{}": "<",
        r"\textgreater{}": ">",
        r"\textbar{}": "|",
        r"\textsuperscript{2}": "²",
        **{rf"\{c}": c for c in "{}$&#_%"},
        **{f"{{{c}}}": c for c in "[]`"},
        "-{}": "-",
    }
    pattern = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    left = re.sub(pattern, "", source)
    assert not re.search(r"[\\{}$&#^_%~<>|\"`\[\]]|--", left), source
    return re.sub(pattern, lambda found: known[found.group()], source)


def test_latex_prints_every_name_as_it_is_and_nothing_else(hostile: LeaderboardTable) -> None:
    text = to_latex([hostile])
    body = text.partition("\\midrule\n")[2].partition("\n    \\bottomrule")[0]
    rows = [re.fullmatch(r" *(.*) \\\\", line) for line in body.splitlines()]
    assert len(rows) == len(hostile.entries)
    for row, name in zip(rows, methods(hostile), strict=True):
        assert row is not None
        found = re.split(r"(?<!\\)&", row[1])
        assert len(found) == len(hostile.columns)
        first = f" {found[0]}" if name.startswith(" ") else found[0]
        assert latex_text(first).strip() == name.strip().replace('"', "''")


def test_latex_is_a_booktabs_table_with_the_best_in_bold(tmp_path: Path) -> None:
    text = to_latex([simple(tmp_path)])
    assert text.startswith("% Needs \\usepackage{booktabs}.")
    assert text.count("\\begin{table}") == text.count("\\end{table}") == 1
    assert "\\begin{tabular}{lrrrllll}" in text
    assert [text.count(rule) for rule in ("\\toprule", "\\midrule", "\\bottomrule")] == [1, 1, 1]
    assert "method-1 & \\textbf{70.0} & \\textbf{90.0} & -- & 256x192" in text


def test_a_negative_difference_has_a_minus_in_latex(tmp_path: Path) -> None:
    run = make_run(tmp_path, 1, 0.769, method="i2rnet-hrformer", **AS_PUBLISHED)
    assert "& $-$0.5 &" in to_latex(build_leaderboard([run]))


# CSV


def test_csv_is_one_table_of_all_with_full_precision(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path, 1, 1 / 3),
        make_run(tmp_path, 2, 0.6, boxes="none", scores={"AP_medium_area": 0.1}),
    ]
    rows = list(csv.DictReader(io.StringIO(to_csv(build_leaderboard(runs)))))
    assert [(row["boxes"], row["method"]) for row in rows] == [("gt", "method-1"), ("none", "method-2")]
    assert float(rows[0]["AP"]) == 100 * (1 / 3)
    assert (rows[0]["AP_hard"], rows[0]["AP_medium_area"], rows[1]["AP_medium_area"]) == ("", "", "10.0")


def test_csv_keeps_names_apart_and_gives_spreadsheets_no_formula(hostile: LeaderboardTable) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv([hostile]))))
    assert len(rows) == len(hostile.entries)
    for row, name in zip(rows, methods(hostile), strict=True):
        assert row["method"] == (f"'{name}" if name[0] in "=+-@＝＋－＠" else name)
        assert None not in row


# JSON


def test_json_has_every_value_by_name_and_null_for_none(hostile: LeaderboardTable) -> None:
    (table,) = json.loads(to_json([hostile]))
    assert [row["method"] for row in table["rows"]] == [s.values["method"] for s in hostile.entries]
    assert {row["AP75"] for row in table["rows"]} == {None}
    assert (table["dataset"], table["split"], table["boxes"], table["ranked"]) == (
        "crowdpose",
        "test",
        "gt",
        True,
    )
    assert {row["source"] for row in table["rows"]} == {None, *HOSTILE}


def test_no_tables_are_an_empty_list_and_a_heading() -> None:
    assert json.loads(to_json([])) == []
    assert to_csv([]).splitlines() == ["table,dataset,split,boxes,annotations"]
    assert to_text([]) == to_markdown([]) == ""
