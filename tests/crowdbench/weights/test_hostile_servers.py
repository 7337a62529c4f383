"""Servers that trickle, never end, or answer with what is not HTTP: one sentence each, within the limits."""

import time
from pathlib import Path

import pytest
from support.hostile_servers import BODY, CHUNK, CHUNKED, OK, endless, said, talking, trickled
from support.weights_server import Served, Server

from crowdbench.weights.download import TransferError, download
from crowdbench.weights.responses import Limits

LIMITS = Limits(
    connect_s=5.0, silence_s=5.0, head_s=0.5, window_s=0.5, largest=1 << 20, largest_unannounced=1 << 19
)
TALKS = {
    "headers that trickle": (trickled(OK, b"X: y\r\n" * 999), "did not begin to answer within 0.5 s"),
    "silence": (lambda connection: None, "did not begin to answer within 0.5 s"),
    "a body that trickles": (trickled(OK + b"Content-Length: 100000\r\n\r\n", BODY), "sends less than 1 KiB a second"),
    "chunks that trickle": (trickled(CHUNKED, b"1\r\na\r\n" * 999), "sends less than 1 KiB a second"),
    "a body without an end": (endless(CHUNKED, CHUNK), "sends more than 512 KiB, without an end"),
    "a header without an end": (endless(OK + b"X: ", b"a" * 65536), "is not HTTP"),
    "10,000 headers": (said("200 OK\r\n" + "\r\n".join(f"X{i}: y" for i in range(10_000))), "is not HTTP"),
    "another protocol": (lambda connection: connection.sendall(b"\x1b[31mSSH-2.0\r\n"), "is not HTTP"),
    "a page behind another": (endless(b"HTTP/1.1 302 Found\r\nLocation: /w.pth\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK), "more than 10 redirects"),
    "an impossible address": (said("302 Found\r\nLocation: http://[x/\r\nContent-Length: 0"), "leads to where nothing"),
    "a terabyte": (said("200 OK\r\nContent-Length: 1099511627776"), "more than 1 MiB are not fetched"),
    "a length of 30 digits": (said(f"200 OK\r\nContent-Length: {'9' * 30}"), "does not say how long"),
    "JSON": (said("200 OK\r\nContent-Length: 20", b'{"error": "denied"} '), "an answer of a server in JSON"),
    "an XML error": (said("200 OK\r\nContent-Length: 45", b"<?xml version='1.0'?><Error>AccessDenied</Error>"), "in XML"),
    "another part": (said('206 Partial\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\nETag: "a"', b"12345"), "another version"),
    "a long pause": (said("429 Slow\r\nRetry-After: 3600\r\nContent-Length: 0"), "asks to be left alone for 3600 s"),
    "a phrase with escapes": (said("404 \x1b[31mGone\x1b]0;x\x07\r\nContent-Length: 0"), r"answered 404 \x1b[31mGone"),
}  # fmt: skip


@pytest.mark.parametrize("what", TALKS)
def test_a_server_is_held_to_limits_and_its_words_are_made_plain(tmp_path: Path, what: str) -> None:
    talk, sign = TALKS[what]
    begun = time.monotonic()
    with talking(talk) as url, pytest.raises(TransferError) as caught:
        download(url, tmp_path / "w", attempts=1, limits=LIMITS)
    assert time.monotonic() - begun < 8
    assert sign in str(caught.value)
    assert str(caught.value).isprintable()


def test_what_came_before_a_server_trickled_is_kept_and_continued(server: Server, tmp_path: Path) -> None:
    slow = trickled(OK + b'Content-Length: 100000\r\nETag: "v1"\r\n\r\n' + BODY[:50_000], BODY[50_000:])
    with talking(slow) as url:
        with pytest.raises(TransferError, match="sends less than"):
            download(url, tmp_path / "w", attempts=1, limits=LIMITS)
        kept = (tmp_path / "w").stat().st_size
        assert 32_768 <= kept < 60_000
    server.files["/w.pth"] = Served(BODY)
    note = tmp_path / "w.json"
    note.write_text(note.read_text().replace(url, server.url("/w.pth")))
    download(server.url("/w.pth"), tmp_path / "w", limits=LIMITS)
    assert (tmp_path / "w").read_bytes() == BODY
    assert server.asked[-1].range == f"bytes={kept}-"


def test_a_server_that_asks_for_a_short_pause_gets_it(server: Server, tmp_path: Path) -> None:
    server.files["/f"] = Served(BODY, statuses=[503], headers={"Retry-After": "1"})
    begun = time.monotonic()
    download(server.url("/f"), tmp_path / "f", pause_s=0.0)
    assert 1.0 <= time.monotonic() - begun < 5


def test_a_file_of_another_size_than_the_published_one_is_not_fetched(server: Server, tmp_path: Path) -> None:
    server.files["/f"] = Served(BODY)
    with pytest.raises(TransferError, match="has a file of 100000 bytes; the published one has 99"):
        download(server.url("/f"), tmp_path / "f", size=99)
    assert not (tmp_path / "f").exists()
