"""The pages in a real browser: what they show, what can be done with them, and what they must not do."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.browser import Browser
from support.runs import report_runs
from support.runs.report_pages import HOSTILE, hostile_data, page_data

from crowdbench import load_dataset
from crowdbench.leaderboard.board import build_leaderboard
from crowdbench.report import report_data, report_html
from crowdbench.report.leaderboard_page import leaderboard_html

PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of six runs; the last two are not among the best four."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(report_html(page_data(6, 3)))
    return path


@pytest.fixture(scope="module")
def leaderboard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard of three runs with ground-truth boxes and one without boxes."""
    folder = tmp_path_factory.mktemp("leaderboard")
    root = report_runs.dataset(folder / "data", images=3)
    runs = [
        report_runs.run(folder, root, name, lambda k, image, person, at=at: None if image < at else k)
        for name, at in (("beta", 1), ("alpha", 0), ("gamma", 2))
    ]
    runs.append(report_runs.run(folder, root, "delta", boxes="none"))
    path = folder / "leaderboard.html"
    path.write_text(leaderboard_html(build_leaderboard(runs)))
    return path


def is_shown(browser: Browser, selector: str) -> bool:
    # checkVisibility() is true for whatever is in an SVG.
    found = browser.run(
        f"""(() => {{
          let e = document.querySelector({selector!r});
          if (!e) return null;
          for (; e; e = e.parentElement) if (getComputedStyle(e).display === "none") return false;
          return true;
        }})()"""
    )
    assert found is not None, f"there is no {selector}"
    return bool(found)


def column(browser: Browser, number: int, table: str = "table") -> list[str]:
    script = f"[...document.querySelector({table!r}).tBodies[0].rows].map(r => r.cells[{number}].textContent.trim())"
    found: list[str] = browser.run(script)
    return found


def is_quiet(browser: Browser) -> bool:
    """Whether the page asked for nothing, and its script and its policy had nothing to complain of."""
    assert browser.said == []
    assert browser.external() == []
    return True


@pytest.mark.parametrize("page", ["report", "leaderboard"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, {"width": 1280, "height": 900}], ids=["phone", "desk"])
def test_pages_load_quietly_and_never_scroll_sideways(
    page: str, dark: bool, size: dict[str, int], chromium: Browser, request: pytest.FixtureRequest
) -> None:
    chromium.open(request.getfixturevalue(page), dark=dark, **size)
    assert is_quiet(chromium)
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth")
    assert chromium.run("innerWidth") == size["width"]
    background = chromium.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    text = chromium.run("getComputedStyle(document.body).color.match(/\\d+/g).map(Number)")
    assert (sum(background) < sum(text)) is dark


@pytest.mark.parametrize("page", ["report", "leaderboard"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(
    page: str, dark: bool, chromium: Browser, request: pytest.FixtureRequest
) -> None:
    """By the rule of WCAG 2.1, 1.4.3: 4.5 to 1."""
    chromium.open(request.getfixturevalue(page), dark=dark)
    faint = chromium.run(
        """(() => {
          const numbers = (css) => css.match(/[\\d.]+/g).map(Number);
          const light = (css) => numbers(css).slice(0, 3).map((v) => v / 255)
            .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
          const behind = (e) => {
            for (; e; e = e.parentElement) {
              const css = getComputedStyle(e).backgroundColor;
              if (css.startsWith("rgb(")) return css;
            }
          };
          return [...document.querySelectorAll("h1,h2,h3,p,li,td,th,button,label,legend,summary,a,dt,dd,small,code,text")]
            .filter((e) => e.checkVisibility() && e.textContent.trim())
            .map((e) => {
              const style = getComputedStyle(e);
              const ink = light(e.tagName === "text" ? style.fill : style.color), paper = light(behind(e));
              return [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), e.outerHTML.slice(0, 80)];
            }).filter(([ratio]) => ratio < 4.5);
        })()"""
    )
    assert faint == []


def test_layers_are_switched_off_and_on(report: Path, chromium: Browser) -> None:
    chromium.open(report)
    for layer, selector in (
        ("true", "main .view .true"),
        ("predicted", "main .view .predicted"),
        ("marks", "main .view .marks"),
    ):
        chromium.run("document.querySelector('#gallery').scrollIntoView()")
        assert is_shown(chromium, selector)
        chromium.click(f"#show-{layer}")
        assert not is_shown(chromium, selector)
        chromium.click(f"#show-{layer}")
        assert is_shown(chromium, selector)
    chromium.click("#show-image")
    assert chromium.run("getComputedStyle(document.body).getPropertyValue('--show-image')") == "none"


def test_pictures_really_appear_on_the_screen(report: Path, chromium: Browser, tmp_path: Path) -> None:
    import cv2

    def colours() -> int:
        chromium.run("document.querySelector('.picture').scrollIntoView()")
        chromium.picture(tmp_path / "seen.png")
        seen = cv2.imread(str(tmp_path / "seen.png"))
        return len(set(map(bytes, seen.reshape(-1, 3)[::7])))

    chromium.open(report)
    with_images = colours()
    chromium.click("#show-image")
    assert with_images > 10 * colours()


def test_a_run_that_is_not_chosen_is_nowhere_but_in_the_summary(report: Path, chromium: Browser) -> None:
    chromium.open(report)
    assert is_shown(chromium, "#curves .r0")
    assert is_shown(chromium, ".panel.r0")
    chromium.click("#run-0")
    assert not is_shown(chromium, "#curves .r0")
    assert not is_shown(chromium, ".panel.r0")
    assert is_shown(chromium, ".panel.r1")
    assert "method-00" in " ".join(column(chromium, 0, "#summary table"))


def test_poses_of_the_other_runs_appear_when_they_are_chosen(report: Path, chromium: Browser) -> None:
    chromium.open(report)
    assert chromium.run("document.querySelectorAll('.panel').length") == 6 * 4
    assert not is_shown(chromium, "#curves .r5")
    chromium.click("#run-5")
    chromium.run(
        "new Promise((done) => { const look = () => document.querySelectorAll('.panel.r5').length === 6 ? done() : setTimeout(look, 10); look(); })"
    )
    assert is_shown(chromium, "#curves .r5")
    assert chromium.run("document.querySelector('.panel.r5 p').textContent").startswith(
        "method-05 mean OKS 0."
    )
    drawn = chromium.run(
        "[...document.querySelectorAll('.panel.r5')].map((p) => p.querySelectorAll('path.predicted').length)"
    )
    assert drawn == [3] * 6
    order = chromium.run("[...document.querySelector('.panels').children].map((p) => p.dataset.run)")
    assert order == ["0", "1", "2", "3", "5"]
    assert is_quiet(chromium)


def test_all_runs_and_none(report: Path, chromium: Browser) -> None:
    chromium.open(report)
    chromium.click("[data-runs=all]")
    chromium.run(
        "new Promise((done) => { const look = () => document.querySelectorAll('.panel').length === 36 ? done() : setTimeout(look, 10); look(); })"
    )
    assert chromium.run("document.querySelectorAll('.runs input:checked').length") == 6
    chromium.click("[data-runs=none]")
    assert not any(is_shown(chromium, f".panel.r{run}") for run in range(6))


def test_a_picture_is_enlarged_and_the_next_one_follows(report: Path, chromium: Browser) -> None:
    chromium.open(report, width=1280, height=900)
    chromium.click(".picture .panel svg.view")
    assert is_shown(chromium, "dialog #enlarged svg")
    first = chromium.run("document.getElementById('caption').textContent")
    assert "method-00" in first
    assert "000000.jpg" in first
    chromium.press("ArrowRight")
    assert "method-01" in chromium.run("document.getElementById('caption').textContent")
    chromium.press("ArrowLeft")
    assert chromium.run("document.getElementById('caption').textContent") == first
    chromium.press("Escape")
    assert not chromium.run("document.querySelector('dialog').open")
    assert chromium.run("document.activeElement.matches('.picture .panel svg.view')")


def test_the_keyboard_alone_reaches_a_picture_and_a_sort(report: Path, chromium: Browser) -> None:
    chromium.open(report)
    seen = []
    for _ in range(200):
        chromium.press("Tab")
        seen.append(
            chromium.run(
                "document.activeElement.tagName + ' ' + (document.activeElement.getAttribute('class') ?? '')"
            )
        )
        if seen[-1].startswith("svg view"):
            break
    assert seen[0] == "A skip"
    assert any(name.startswith("BUTTON") for name in seen)
    assert any(name.startswith("INPUT") for name in seen)
    chromium.press("Enter")
    assert chromium.run("document.querySelector('dialog').open")


def test_the_leaderboard_sorts_from_the_better_end_and_back(leaderboard: Path, chromium: Browser) -> None:
    chromium.open(leaderboard)
    assert column(chromium, 0) == ["alpha", "beta", "gamma"]
    chromium.click("thead th:nth-child(1) button")
    chromium.click("thead th:nth-child(1) button")
    assert column(chromium, 0) == ["gamma", "beta", "alpha"]
    assert chromium.run("document.querySelector('thead th').getAttribute('aria-sort')") == "descending"
    chromium.click("thead th:nth-child(2) button")
    assert column(chromium, 0) == ["alpha", "beta", "gamma"]
    assert chromium.run("document.querySelectorAll('[aria-sort]').length") == 1
    chromium.click("thead th:nth-child(2) button")
    assert column(chromium, 0) == ["gamma", "beta", "alpha"]


def test_numbers_are_sorted_as_numbers_and_what_is_missing_comes_last(
    tmp_path: Path, chromium: Browser
) -> None:
    from crowdbench.leaderboard.table import Column, LeaderboardTable, Row

    columns = (Column("method", "", None), Column("latency", "", 1, better="lowest"))
    values = [("a", 9.0), ("b", None), ("c", 10.0), ("d", -3.5), ("e", 1e-9)]
    rows = tuple(Row({"method": m, "latency": v}, "complete") for m, v in values)
    page = tmp_path / "page.html"
    page.write_text(leaderboard_html([LeaderboardTable("t", columns, rows, "d", "s", "gt")]))
    chromium.open(page)
    chromium.click("th:nth-child(2) button")
    assert column(chromium, 0) == ["d", "e", "a", "c", "b"]
    chromium.click("th:nth-child(2) button")
    assert column(chromium, 0) == ["c", "a", "e", "d", "b"]


def test_the_leaderboard_filters_by_words_of_any_column(leaderboard: Path, chromium: Browser) -> None:
    def shown() -> list[str]:
        found: list[str] = chromium.run(
            "[...document.querySelectorAll('tbody tr')].filter((r) => r.checkVisibility()).map((r) => r.cells[0].textContent)"
        )
        return found

    chromium.open(leaderboard)
    assert sorted(shown()) == ["alpha", "beta", "delta", "gamma"]
    chromium.click("#words")
    chromium.type("BETA toy")
    assert shown() == ["beta"]
    assert chromium.run("document.getElementById('found').textContent") == "1 of 4 rows"
    chromium.run("document.getElementById('words').select()")
    chromium.type("ground-truth")
    assert sorted(shown()) == ["alpha", "beta", "gamma"]
    chromium.run("document.getElementById('words').select()")
    chromium.type("no such thing")
    assert shown() == []
    assert chromium.run("[...document.querySelectorAll('section.board')].every((s) => !s.checkVisibility())")


def test_the_leaderboard_shows_one_table_alone(leaderboard: Path, chromium: Browser) -> None:
    chromium.open(leaderboard)
    assert chromium.run("document.querySelectorAll('section.board').length") == 2
    chromium.run(
        "{ const s = document.getElementById('table'); s.value = 't2'; s.dispatchEvent(new Event('change')); }"
    )
    assert not is_shown(chromium, "#t1")
    assert is_shown(chromium, "#t2")


@pytest.mark.parametrize("page", ["report", "leaderboard"])
def test_without_scripts_everything_is_there_but_sorting_and_searching(
    page: str, chromium: Browser, request: pytest.FixtureRequest
) -> None:
    chromium.open(request.getfixturevalue(page), script=False)
    assert is_quiet(chromium)
    assert chromium.run("document.querySelectorAll('th button').length") == 0
    assert not chromium.run(
        "[...document.querySelectorAll('.needs-script')].some((e) => e.checkVisibility())"
    )
    if page == "leaderboard":
        assert chromium.run("document.querySelectorAll('tbody tr').length") == 4
        return
    assert is_shown(chromium, "main .view .predicted")
    chromium.click("#show-predicted")
    assert not is_shown(chromium, "main .view .predicted")
    chromium.click("#run-1")
    assert not is_shown(chromium, ".panel.r1")
    assert is_shown(chromium, "noscript .note")


def test_words_from_elsewhere_run_nowhere(tmp_path: Path, chromium: Browser) -> None:
    page = tmp_path / "hostile.html"
    page.write_bytes(report_html(hostile_data()))
    chromium.open(page)
    assert chromium.run("window.hacked") is None
    assert is_quiet(chromium)
    chromium.click(".picture .panel svg.view")
    assert chromium.run("window.hacked") is None
    assert chromium.run("document.querySelectorAll('img, iframe, object').length") == 0
    assert chromium.run("document.querySelector('h1').textContent.includes('<script>')")


def test_hostile_runs_and_files_become_words_on_both_pages(tmp_path: Path, chromium: Browser) -> None:
    """From the files to the browser: a method's name, an image's, a folder's that is no Unicode, the record's."""
    root = report_runs.dataset(
        tmp_path / "data", 4, {0: HOSTILE[:-2], 1: "<b>.jpg", 2: "'\"><svg onload=window.hacked=1>.jpg"}
    )
    out = tmp_path / os.fsdecode(b"runs-\xff<i>")
    out.mkdir()
    attacks: dict[str, Any] = {
        "command": ["crowdbench", HOSTILE],
        "host": {"name": HOSTILE, HOSTILE: HOSTILE},
        "versions": {HOSTILE: HOSTILE},
        "settings": {HOSTILE: HOSTILE},
        "warnings": [HOSTILE],
        "method_origin": HOSTILE,
    }
    run = report_runs.run(out, root, HOSTILE, lambda k, i, p: k + [30, 0, 0], folder="hostile", **attacks)
    weights = replace(run.record.weights, source=HOSTILE)
    protocol = replace(run.record.protocol, changed_settings={HOSTILE: HOSTILE}, training_data=HOSTILE)
    other = report_runs.run(
        out, root, HOSTILE + "2", folder="other", weights=weights, protocol=protocol, **attacks
    )
    data = report_data([run, other], load_dataset("crowdpose", root=root, boxes="none"), pictures=4)
    for name, page in (
        ("report", report_html(data)),
        ("board", leaderboard_html(build_leaderboard([run, other])).encode()),
    ):
        path = tmp_path / f"{name}.html"
        path.write_bytes(page)
        chromium.open(path)
        assert chromium.run("window.hacked") is None
        assert is_quiet(chromium)
        assert chromium.run("document.querySelectorAll('script').length") == 1
        assert "<script>window.hacked=1</script>" in chromium.run(
            "document.querySelector('main').textContent"
        )
        assert chromium.run("document.documentElement.scrollWidth <= innerWidth")


def test_what_got_past_escaping_would_still_not_run(report: Path, chromium: Browser) -> None:
    chromium.open(report)
    chromium.run(
        """(() => {
          const script = document.createElement("script");
          script.textContent = "window.hacked = 1";
          document.body.append(script);
          const box = document.createElement("div");
          box.innerHTML = "<img src='https://example.org/x.png' onerror='window.hacked=2'><p style='color:red'>x</p>";
          document.body.append(box);
        })()"""
    )
    assert chromium.run("fetch('https://example.org/').then(() => 'sent', () => 'refused')") == "refused"
    assert chromium.run("window.hacked") is None
    assert chromium.external() == []
    assert any("Content Security Policy" in text for text in chromium.said)


@pytest.mark.slow
def test_fifty_runs_and_two_hundred_pictures_can_be_used(tmp_path: Path, chromium: Browser) -> None:
    page = tmp_path / "large.html"
    page.write_bytes(report_html(page_data(50, 100, persons=6)))
    chromium.open(page, **PHONE)
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth")
    chromium.open(page)
    assert is_quiet(chromium)
    assert chromium.run("document.querySelectorAll('.picture').length") == 200
    chromium.click("#run-37")
    chromium.run(
        "new Promise((done) => { const look = () => document.querySelectorAll('.panel.r37').length === 200 ? done() : setTimeout(look, 10); look(); })"
    )
    chromium.click("#summary th:nth-child(2) button")
    chromium.click("#summary th:nth-child(2) button")
    assert column(chromium, 0, "#summary table")[0] == "method-49"
    chromium.click("#show-predicted")
    assert not is_shown(chromium, "main .view .predicted")
    assert is_quiet(chromium)
