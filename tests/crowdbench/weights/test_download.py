"""Transfers from a real server on this machine that breaks off, changes its mind, or keeps silent."""

import socket
import threading
import time
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.weights_server import Served, Server, serving, weights_like

from crowdbench.weights.download import TransferError, discard, download, note_file
from crowdbench.weights.responses import Limits, refuse_downgrade

SIZE = 400_000
QUICK = Limits(connect_s=5.0, silence_s=5.0, head_s=10.0, window_s=10.0)


def get(url: str, partial: Path, **options: object) -> bytes:
    download(url, partial, **{"pause_s": 0.0, "limits": QUICK, **options})  # type: ignore[arg-type]
    return partial.read_bytes()


def test_a_file_arrives_whole_and_progress_ends_at_its_length(server: Server, tmp_path: Path) -> None:
    body = weights_like(SIZE)
    server.files["/f"] = Served(body)
    seen: list[tuple[int, int | None]] = []
    assert get(server.url("/f"), tmp_path / "f", on_bytes=lambda *step: seen.append(step)) == body
    assert seen[0] == (0, SIZE)
    assert seen[-1] == (SIZE, SIZE)
    assert seen == sorted(seen)


def test_an_interrupted_transfer_goes_on_where_it_was_cut(server: Server, tmp_path: Path) -> None:
    body = weights_like(SIZE)
    server.files["/f"] = Served(body, cuts=[150_000, 150_000])
    assert get(server.url("/f"), tmp_path / "f") == body
    first, second, third = server.asked
    assert first.range is None
    assert second.condition == third.condition == '"v1"'
    assert int(str(second.range)[6:-1]) > 0
    assert int(str(third.range)[6:-1]) > 150_000
    # What came before a cut is not sent again, but for the last piece, of 64 KiB at most.
    assert sum(asked.sent for asked in server.asked) <= SIZE + 2 * 65536


@given(
    st.lists(st.integers(0, SIZE), max_size=4),
    st.sampled_from(["etag", "date", "neither"]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_it_is_cut_the_same_bytes_arrive(
    tmp_path: Path, cuts: list[int], version: str, ranges: bool, chunked: bool
) -> None:
    body = weights_like(SIZE)
    with serving() as server:
        server.files["/f"] = Served(
            body,
            etag='"v1"' if version == "etag" else None,
            last_modified="Wed, 01 Jun 2022 10:00:00 GMT" if version == "date" else None,
            ranges=ranges,
            chunked=chunked,
            cuts=cuts,
        )
        partial = tmp_path / "f"
        for _ in range(len(cuts) + 1):  # a cut before the first byte is no network, which ends a call
            try:
                assert get(server.url("/f"), partial) == body
                break
            except TransferError:
                continue
        else:
            pytest.fail("it never arrived")
        discard(partial)


def test_a_file_that_changes_between_two_pieces_is_not_spliced(server: Server, tmp_path: Path) -> None:
    old, new = weights_like(SIZE, seed=1), weights_like(SIZE, seed=2)
    served = server.files["/f"] = Served(old, cuts=[200_000])
    with pytest.raises(TransferError):
        get(server.url("/f"), tmp_path / "f", attempts=1)
    served.body, served.etag = new, '"v2"'
    assert get(server.url("/f"), tmp_path / "f") == new
    assert server.asked[-1].condition == '"v1"'


def test_a_server_that_ignores_the_condition_does_not_get_two_versions_spliced(
    server: Server, tmp_path: Path
) -> None:
    served = server.files["/f"] = Served(weights_like(SIZE, seed=1), cuts=[200_000], conditions=False)
    with pytest.raises(TransferError):
        get(server.url("/f"), tmp_path / "f", attempts=1)
    served.body, served.etag = weights_like(SIZE, seed=2), '"v2"'
    assert get(server.url("/f"), tmp_path / "f") == served.body


def test_a_partial_file_that_another_process_began_anew_is_not_taken_for_whole(
    server: Server, tmp_path: Path
) -> None:
    """Locks are silently local on some mounts, and two machines may write one partial file."""
    body, partial = weights_like(SIZE), tmp_path / "f"
    server.files["/f"] = Served(body)
    meddled = []

    def meddle(done: int, _: int | None) -> None:
        if done == SIZE and not meddled:
            meddled.append(partial.unlink())
            partial.write_bytes(body[:100_000])

    assert get(server.url("/f"), partial, on_bytes=meddle) == body
    assert len(server.asked) == 2


def test_a_file_that_shrank_is_fetched_from_its_start(server: Server, tmp_path: Path) -> None:
    """A server may ignore If-Range; then only the length tells."""
    served = server.files["/f"] = Served(weights_like(SIZE), cuts=[300_000])
    with pytest.raises(TransferError):
        get(server.url("/f"), tmp_path / "f", attempts=1)
    served.body = weights_like(100_000, seed=2)
    assert get(server.url("/f"), tmp_path / "f") == served.body


def test_without_a_version_a_cut_transfer_starts_again(server: Server, tmp_path: Path) -> None:
    body = weights_like(SIZE)
    server.files["/f"] = Served(body, etag=None, cuts=[200_000])
    assert get(server.url("/f"), tmp_path / "f") == body
    assert [asked.range for asked in server.asked] == [None, None]


def test_a_weak_etag_is_not_trusted_to_tell_versions_apart(server: Server, tmp_path: Path) -> None:
    server.files["/f"] = Served(weights_like(SIZE), etag='W/"v1"', cuts=[200_000])
    get(server.url("/f"), tmp_path / "f")
    assert server.asked[1].range is None


def test_a_transfer_that_is_cut_too_often_ends_and_the_next_goes_on(server: Server, tmp_path: Path) -> None:
    body = weights_like(SIZE)
    server.files["/f"] = Served(body, cuts=[70_000, 70_000, 70_000])
    with pytest.raises(TransferError, match="broke off the transfer, 3 times over"):
        get(server.url("/f"), tmp_path / "f", attempts=3)
    kept = (tmp_path / "f").stat().st_size
    assert kept >= 3 * 65536 - 3
    assert get(server.url("/f"), tmp_path / "f") == body
    assert server.asked[-1].range == f"bytes={kept}-"


def test_a_partial_file_of_another_url_is_not_continued(server: Server, tmp_path: Path) -> None:
    server.files["/f"] = Served(weights_like(SIZE, seed=1), cuts=[200_000])
    server.files["/g"] = Served(weights_like(SIZE, seed=2))
    with pytest.raises(TransferError):
        get(server.url("/f"), tmp_path / "f", attempts=1)
    assert get(server.url("/g"), tmp_path / "f") == server.files["/g"].body


@pytest.mark.parametrize("damage", ["missing", "garbled"])
def test_a_partial_file_of_unknown_origin_is_fetched_again(
    server: Server, tmp_path: Path, damage: str
) -> None:
    body = weights_like(SIZE)
    server.files["/f"] = Served(body, cuts=[200_000])
    with pytest.raises(TransferError):
        get(server.url("/f"), tmp_path / "f", attempts=1)
    if damage == "missing":
        note_file(tmp_path / "f").unlink()
    else:
        note_file(tmp_path / "f").write_bytes(b'{"url": ')
    assert get(server.url("/f"), tmp_path / "f") == body
    assert server.asked[-1].range is None


def test_a_transfer_that_was_complete_asks_for_nothing(server: Server, tmp_path: Path) -> None:
    server.files["/f"] = Served(weights_like(SIZE))
    get(server.url("/f"), tmp_path / "f")
    get(server.url("/f"), tmp_path / "f")
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final_and_leaves_nothing(server: Server, tmp_path: Path, status: int) -> None:
    server.files["/f"] = Served(b"", statuses=[status] * 9)
    with pytest.raises(TransferError, match=f"answered {status}"):
        get(server.url("/f"), tmp_path / "f")
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    body = weights_like(SIZE)
    server.files["/f"] = Served(body, statuses=[503, 429])
    assert get(server.url("/f"), tmp_path / "f") == body
    server.files["/g"] = Served(body, statuses=[503] * 9)
    with pytest.raises(TransferError, match="answered 503 Service Unavailable, 5 times over"):
        get(server.url("/g"), tmp_path / "g")


@pytest.mark.parametrize(
    ("served", "sign"),
    [
        pytest.param(Served(b"<html>sign in</html>", headers={"Content-Type": "text/html; charset=utf-8"}), "web page", id="web page"),
        pytest.param(Served(b""), "empty", id="empty"),
        pytest.param(Served(b"\x1f\x8b..", headers={"Content-Encoding": "gzip"}), "packed", id="packed"),
        pytest.param(Served(b"data", headers={"Content-Length": None}), "how long", id="no length"),
    ],
)  # fmt: skip
def test_what_is_no_file_is_refused(server: Server, tmp_path: Path, served: Served, sign: str) -> None:
    server.files["/f"] = served
    with pytest.raises(TransferError, match=sign):
        get(server.url("/f"), tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_without_a_network_it_ends_at_once_and_says_why(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(TransferError, match=rf"cannot connect to 127.0.0.1:{closed} \(Connection refused\)"):
        get(f"http://127.0.0.1:{closed}/f", tmp_path / "f", pause_s=60.0)
    with pytest.raises(TransferError, match=r"cannot connect to nowhere\.invalid \(.*[Nn]ame.*\)"):
        get("https://nowhere.invalid/f", tmp_path / "f", pause_s=60.0)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("host", [".com", "a..b", "*", "ex ample"])
def test_an_impossible_host_is_one_sentence(tmp_path: Path, host: str) -> None:
    with pytest.raises(TransferError, match="leads to where nothing can be fetched from"):
        get(f"http://{host}/f", tmp_path / "f", pause_s=60.0)


def test_a_server_that_falls_silent_is_given_up(server: Server, tmp_path: Path) -> None:
    server.files["/f"] = Served(weights_like(SIZE), hold=threading.Event(), piece=100_000)
    with pytest.raises(TransferError, match=r"fell silent for 0\.2 s"):
        get(server.url("/f"), tmp_path / "f", attempts=2, limits=Limits(silence_s=0.2))
    assert (tmp_path / "f").stat().st_size >= 65536
    server.files["/f"].hold.set()  # type: ignore[union-attr]


def test_redirects_are_followed_and_asked_anew_when_cut(server: Server, tmp_path: Path) -> None:
    """Release pages redirect to addresses that expire; the rest must not be asked for at the old one."""
    body = weights_like(SIZE)
    server.files["/page"] = Served(b"", statuses=[302] * 9, headers={"Location": "/store"})
    server.files["/store"] = Served(body, cuts=[200_000])
    assert get(server.url("/page"), tmp_path / "f") == body
    assert [asked.path for asked in server.asked] == ["/page", "/store"] * 2


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/f", "/loop"])
def test_redirects_out_of_the_web_or_in_a_circle_are_refused(
    server: Server, tmp_path: Path, target: str
) -> None:
    server.files["/loop"] = Served(b"", statuses=[302] * 99, headers={"Location": target})
    with pytest.raises(TransferError, match="leads to where nothing can be fetched"):
        get(server.url("/loop"), tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_from_an_encrypted_to_an_open_connection_is_refused() -> None:
    refuse_downgrade(["http://a/f", "https://b/f"])
    refuse_downgrade(["https://a/f", "https://b/f"])
    with pytest.raises(requests.exceptions.InvalidURL):
        refuse_downgrade(["https://a/f", "http://b/f"])


def test_a_server_that_hangs_up_without_a_word_is_asked_again(tmp_path: Path) -> None:
    body = weights_like(1000)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n" + body
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for reply in (b"", b"", answer):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/f"
        assert get(url, tmp_path / "f") == body
        thread.join()
