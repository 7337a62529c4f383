"""The report's HTML: complete, escaped, of a bounded size. How browsers take it: test_in_browser.py."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from numpy.typing import NDArray
from support.runs.report_pages import hostile_data, page_data, run_part

from crowdbench.errors import ImageError
from crowdbench.report.page import report_html


class Elements(HTMLParser):
    """All elements, and the text that is shown."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_nothing_from_elsewhere_becomes_markup() -> None:
    page = report_html(hostile_data())
    elements = Elements(page)
    assert len(elements.named("script")) == 1
    assert not elements.named("img")
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert "<script>window.hacked=1</script>" in elements.text  # as words
    assert re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", page) is None


def test_names_that_are_no_unicode_are_shown_as_their_bytes() -> None:
    assert rb"runs/\udcff" in report_html(hostile_data())


def test_the_page_names_nothing_outside_of_itself() -> None:
    elements = Elements(report_html(page_data()))
    addresses = [
        value or ""
        for _, attributes in elements.found
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "poster", "srcset")
    ]
    assert addresses
    assert all(address.startswith(("#", "data:image/", "data:,")) for address in addresses)
    assert not any("style" in attributes for _, attributes in elements.found)


def test_the_policy_forbids_all_that_the_page_does_not_need() -> None:
    metas = Elements(report_html(page_data())).named("meta")
    (policy,) = [m["content"] or "" for m in metas if m.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.search(r"script-src 'sha256-[\w+/=]+';", policy)


def test_every_reference_has_its_element() -> None:
    found = Elements(report_html(page_data(5, 3))).found
    identities = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(set(identities)) == len(identities)
    wanted = {
        word
        for _, attributes in found
        for name, value in attributes.items()
        if value and (name in ("aria-labelledby", "for") or (name == "href" and value.startswith("#")))
        for word in value.removeprefix("#").split()
    }
    assert wanted <= set(identities)


def test_runs_of_one_method_are_told_apart_by_their_ids() -> None:
    data = replace(page_data(2, 0), runs=(run_part(1, "same"), run_part(2, "same")), gallery=())
    text = Elements(report_html(data)).text
    assert "same 0000000001" in text
    assert "same 0000000002" in text


def test_nothing_is_best_where_nothing_may_be_ranked() -> None:
    data = page_data(2, 0)
    assert b'class="n best"' in report_html(data)
    assert b'class="n best"' not in report_html(replace(data, notes_against_ranking=("Other boxes.",)))


def test_a_statistic_with_nothing_to_count_is_a_dash_and_no_number() -> None:
    text = Elements(report_html(page_data(1, 0))).text
    assert "-100.0" not in text
    assert "–" in text


def test_a_page_without_curves_errors_and_pictures_is_a_page() -> None:
    bare = replace(run_part(0), errors=None, interval=None, speed=(), scores={})
    data = replace(page_data(1, 0), runs=(bare,), charts=(), gallery=(), protocol=())
    assert "Provenance" in Elements(report_html(data)).text


def test_pictures_that_do_not_fit_are_left_out_and_counted() -> None:
    page = report_html(page_data(4, 30), most_bytes=300_000)
    assert len(page) <= 300_000
    found = re.search(rb"(\d+) images are left out", page)
    assert found is not None
    assert page.count(b'class="picture"') == 60 - int(found.group(1))


def test_long_words_about_images_that_are_gone_leave_less_room_for_the_others() -> None:
    def gone() -> NDArray[np.uint8]:
        raise ImageError("/<long>" * 500)

    data = page_data(1, 6)
    lost = tuple(replace(picture, read=gone) for picture in data.gallery[0].pictures)
    data = replace(data, gallery=(replace(data.gallery[0], pictures=lost), data.gallery[1]))
    page = report_html(data, most_bytes=300_000)
    assert len(page) <= 300_000
    assert page.count(b"No image:") == 6
    assert page.count(b"data:image/jpeg") == 6


@pytest.mark.slow
def test_fifty_runs_and_two_hundred_pictures_fit() -> None:
    page = report_html(page_data(50, 100, persons=6))
    assert len(page) < 10_000_000
    assert page.count(b'class="picture"') == 200
    assert page.count(b"data:image/jpeg;base64,") == 200
    assert b"left out" not in page
