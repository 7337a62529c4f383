"""One verified file in the cache, however it got there and whoever else wants it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest
from support.weights_server import Served, Server, weights_like

from crowdbench.errors import MissingDataError, WeightsError
from crowdbench.weights import Transfer, Wanted, fetch

SIZE = 300_000


def wanted(cache: Path, url: str | None, **more: object) -> Wanted:
    by_hand = None if url else "https://drive.example/models\nTake the second one."
    return Wanted("toy/crowdpose", cache / "toy" / "crowdpose" / "toy.pth", url, by_hand, **more)  # type: ignore[arg-type]


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def lock(want: Wanted) -> dict[str, object]:
    content: dict[str, object] = json.loads(want.lock_file.read_text())
    return content


def put(want: Wanted, content: bytes) -> None:
    want.path.parent.mkdir(parents=True, exist_ok=True)
    want.path.write_bytes(content)


def test_a_fetched_file_is_locked_and_nothing_else_is_left(server: Server, cache: Path) -> None:
    body = weights_like(SIZE)
    server.files["/f"] = Served(body)
    want, seen = wanted(cache, server.url("/f")), []
    assert fetch(want, seen.append) == digest(body)
    assert want.path.read_bytes() == body
    assert seen[-1] == Transfer("toy/crowdpose", SIZE, SIZE)
    assert {k: v for k, v in lock(want).items() if k != "when"} == {
        "size": SIZE,
        "sha256": digest(body),
        "url": server.url("/f"),
    }
    assert {path.name for path in want.path.parent.iterdir()} <= {
        "toy.pth",
        "toy.pth.lock.json",
        "toy.pth.fetching",
    }


def test_a_file_that_is_here_is_not_asked_for_again(server: Server, cache: Path) -> None:
    server.files["/f"] = Served(weights_like(SIZE))
    want = wanted(cache, server.url("/f"))
    assert fetch(want) == fetch(want)
    assert len(server.asked) == 1


@pytest.mark.parametrize("change", ["one bit", "longer", "another file"])
def test_a_file_that_changed_since_it_was_locked_is_refused(server: Server, cache: Path, change: str) -> None:
    body = weights_like(SIZE)
    server.files["/f"] = Served(body)
    want = wanted(cache, server.url("/f"))
    fetch(want)
    flipped = body[:-1] + bytes([body[-1] ^ 1])
    changed = {"one bit": flipped, "longer": body + b"\0", "another file": weights_like(SIZE, 5)}[change]
    want.path.write_bytes(changed)
    with pytest.raises(WeightsError) as caught:
        fetch(want)
    for part in (digest(body), digest(changed), str(want.path), str(want.lock_file), server.url("/f")):
        assert part in str(caught.value)
    want.lock_file.unlink()
    if change == "longer":
        with pytest.raises(WeightsError, match="not a whole safetensors file"):
            fetch(want)
    else:
        assert fetch(want) == digest(changed)


def test_a_server_that_gives_another_file_later_is_refused(server: Server, cache: Path) -> None:
    old, new = weights_like(SIZE, 1), weights_like(SIZE, 2)
    served = server.files["/f"] = Served(old)
    want = wanted(cache, server.url("/f"))
    fetch(want)
    want.path.unlink()
    served.body, served.etag = new, '"v2"'
    with pytest.raises(WeightsError) as caught:
        fetch(want)
    assert digest(old) in str(caught.value)
    assert digest(new) in str(caught.value)
    assert not want.path.exists()
    served.body, served.etag = old, '"v1"'
    assert fetch(want) == digest(old)


def test_a_published_hash_is_binding_from_the_first_time(server: Server, cache: Path) -> None:
    body = weights_like(SIZE)
    server.files["/f"] = Served(body)
    want = wanted(cache, server.url("/f"), sha256="0" * 64)
    with pytest.raises(WeightsError, match="not the file that was published") as caught:
        fetch(want)
    assert digest(body) in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert not want.path.exists()
    assert not want.lock_file.exists()
    assert fetch(wanted(cache, server.url("/f"), sha256=digest(body), size=SIZE)) == digest(body)
    with pytest.raises(WeightsError, match="not the file that was published"):
        fetch(wanted(cache, server.url("/f"), size=SIZE + 1))


def test_a_file_put_there_by_hand_is_accepted_and_locked(cache: Path) -> None:
    body = weights_like(SIZE)
    want = wanted(cache, None)
    put(want, body)
    assert fetch(want) == digest(body)
    assert lock(want)["url"] is None
    put(want, weights_like(SIZE, 3))
    with pytest.raises(WeightsError, match="put there by hand"):
        fetch(want)


def test_a_web_page_put_there_by_hand_is_refused_and_not_trusted(cache: Path) -> None:
    want = wanted(cache, None)
    put(want, b"<!DOCTYPE html><html>Sign in to download</html>")
    with pytest.raises(WeightsError, match="web page"):
        fetch(want)
    assert not want.lock_file.exists()


def test_a_web_page_that_calls_itself_a_file_is_refused_and_not_kept(server: Server, cache: Path) -> None:
    server.files["/f"] = Served(b"<!DOCTYPE html><html>Sign in to download</html>")
    want = wanted(cache, server.url("/f"))
    with pytest.raises(MissingDataError, match="web page"):
        fetch(want)
    server.files["/f"] = Served(weights_like(SIZE), etag='"v2"')
    fetch(want)


def test_what_only_a_person_can_fetch_says_where_and_where_to(cache: Path) -> None:
    want = wanted(cache, None)
    with pytest.raises(MissingDataError) as caught:
        fetch(want)
    for part in ("https://drive.example/models", "Take the second one.", str(want.path)):
        assert part in str(caught.value)
    assert want.path.parent.is_dir()


def test_a_missing_file_and_no_network_name_the_url_and_the_path(server: Server, cache: Path) -> None:
    for url, reason in ((server.url("/gone"), "404"), ("http://127.0.0.1:9/f", "Connection refused")):
        want = wanted(cache, url)
        with pytest.raises(MissingDataError) as caught:
            fetch(want)
        for part in (url, reason, str(want.path)):
            assert part in str(caught.value)


def test_an_interrupted_transfer_says_what_is_kept_and_goes_on(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # the pauses between attempts
    body = weights_like(SIZE)
    served = server.files["/f"] = Served(body, cuts=[70_000] * 5, ranges=False)
    want = wanted(cache, server.url("/f"))
    with pytest.raises(MissingDataError, match="bytes are kept; the same command goes on") as caught:
        fetch(want)
    assert server.url("/f") in str(caught.value)
    assert not want.path.exists()
    assert not want.lock_file.exists()
    served.ranges = True
    assert fetch(want) == digest(body)


def test_a_damaged_lock_is_an_error_that_names_it(cache: Path) -> None:
    want = wanted(cache, None)
    put(want, weights_like(SIZE))
    fetch(want)
    want.lock_file.write_text('{"size": 3')
    with pytest.raises(WeightsError, match=r"toy\.pth\.lock\.json: cannot be read"):
        fetch(want)


def test_a_file_that_is_still_being_copied_is_not_locked(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = wanted(cache, None)
    put(want, weights_like(SIZE))

    def grows(path: Path) -> str:
        path.write_bytes(path.read_bytes() + b"more")
        return "0" * 64

    monkeypatch.setattr("crowdbench.weights.cache.file_digest", grows)
    with pytest.raises(MissingDataError, match="still being written"):
        fetch(want)
    assert not want.lock_file.exists()


FETCH = """
import sys
from pathlib import Path
from crowdbench.weights import Wanted, fetch
print(fetch(Wanted("toy/crowdpose", Path(sys.argv[2]), sys.argv[1])))
"""


def started(want: Wanted) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", FETCH, str(want.url), str(want.path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_ten_processes_at_once_one_fetches_and_all_get_the_file(server: Server, cache: Path) -> None:
    body = weights_like(SIZE)
    # Most of them start while the first one's transfer is held; the command line's test waits for all.
    hold = threading.Event()
    server.files["/f"] = Served(body, hold=hold)
    want = wanted(cache, server.url("/f"))
    processes = [started(want) for _ in range(10)]
    time.sleep(2)
    hold.set()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.strip(), err) == (0, digest(body), "")
    assert [asked.whole for asked in server.asked] == [True]


def test_when_the_process_that_fetches_is_killed_one_that_waits_goes_on(server: Server, cache: Path) -> None:
    body = weights_like(SIZE)
    hold = threading.Event()
    server.files["/f"] = Served(body, hold=hold, piece=150_000)
    want = wanted(cache, server.url("/f"))
    first = started(want)
    deadline = time.monotonic() + 30
    while not (want.beside(".part").exists() and want.beside(".part").stat().st_size >= 65536):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = started(want)
    time.sleep(1)
    server.files["/f"] = Served(body)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    out, err = second.communicate(timeout=60)
    assert (second.returncode, out.strip(), err) == (0, digest(body), "")
    assert server.asked[-1].range is not None
    assert server.asked[-1].sent < SIZE
    hold.set()


def test_a_disk_without_room_is_one_message_and_the_next_call_goes_on(server: Server, cache: Path) -> None:
    """The system's limit on the size of files fails a write as a full disk does: in the middle."""
    body = weights_like(SIZE)
    server.files["/f"] = Served(body)
    want = wanted(cache, server.url("/f"))
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n"
    command = [sys.executable, "-c", limit + FETCH, str(want.url), str(want.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-3].startswith(
        f"crowdbench.errors.MissingDataError: toy/crowdpose: cannot write in {want.path.parent} (File too large)."
    )
    assert str(want.path) in done.stderr
    assert not want.path.exists()
    assert fetch(want) == digest(body)
    assert server.asked[-1].sent < SIZE
