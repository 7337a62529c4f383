"""The section "Weights from servers" of docs/bad-input.md."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from support.bad_input_cases import Cases
from support.data import onnx_models
from support.data.weights_files import packed, state
from support.hostile_servers import BODY, CHUNK, CHUNKED, OK, Talk, endless, said, talking, trickled
from support.weights_server import Served, Server, serving

from crowdbench.weights import Wanted
from crowdbench.weights.responses import Limits

case = Cases("Weights from servers")
QUICK = Limits(connect_s=5.0, silence_s=5.0, head_s=0.2, window_s=0.2, largest_unannounced=1 << 19)


class _Servers:
    """What the cases reach; set for each test."""

    files: Server
    stack: ExitStack


def served(name: str, body: Callable[[Path], bytes], file: str = "/w.pth", *more: str, **how: object) -> None:
    """A case that fetches a file."""

    @case(name)
    def _(folder: Path) -> list[str]:
        _Servers.files.files[file] = Served(body(folder), **how)  # type: ignore[arg-type]
        return ["weights", "fetch", _Servers.files.url(file), *more]


def told(name: str, talk: Talk) -> None:
    """A case that hears a server say something."""
    case(name)(lambda folder: ["weights", "fetch", _Servers.stack.enter_context(talking(talk))])


def checkpoint(folder: Path) -> bytes:
    return packed(state())


def one_bit_changed(folder: Path) -> bytes:
    data = bytearray(packed({"a": torch.arange(4000.0)}))
    data[len(data) // 2] ^= 1
    return bytes(data)


def model(folder: Path) -> bytes:
    path = folder / "made.onnx"
    return onnx_models.constant(path, (1, 3, 16, 16), {"out": np.zeros((1, 4))}).read_bytes()


def program(folder: Path) -> bytes:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), folder / "made.pt")  # type: ignore[no-untyped-call]
    return (folder / "made.pt").read_bytes()


served("half-a-checkpoint-called-whole", lambda folder: checkpoint(folder)[:-300])
served("half-a-safetensors-file-called-whole", lambda folder: BODY[:50_000])
served("half-an-onnx-model-called-whole", lambda folder: model(folder)[:-30], "/w.onnx")
served("a-checkpoint-with-one-bit-changed", one_bit_changed)
served("a-transfer-that-always-breaks-off", lambda folder: BODY, cuts=[40_000] * 5, ranges=False)
served("an-onnx-model", model, "/w.onnx")
served("a-torchscript-program", program, "/w.pt")
served("no-such-file", lambda folder: b"", statuses=[404])
served("a-page-with-status-200", lambda folder: b"<html>Sign in</html>")
served("a-page-that-says-so", lambda folder: b"x", headers={"Content-Type": "text/html"})
served("a-refusal-in-json", lambda folder: b'{"message": "rate limit"}')
served("a-file-packed-by-the-server", lambda folder: BODY, headers={"Content-Encoding": "gzip"})
served("a-file-without-a-length", lambda folder: BODY, headers={"Content-Length": None})
served("a-busy-server", lambda folder: b"", statuses=[503] * 5)
served("redirects-in-a-circle", lambda folder: b"", statuses=[302] * 20, headers={"Location": "/w.pth"})
told("headers-that-trickle", trickled(OK, b"X: y\r\n" * 999))
told("a-body-that-trickles", trickled(OK + b"Content-Length: 100000\r\n\r\n", BODY))
told("a-body-without-an-end", endless(CHUNKED, CHUNK))
told("a-header-without-an-end", endless(OK + b"X: ", b"a" * 65536))
told("ten-thousand-headers", said("200 OK\r\n" + "\r\n".join(f"X{i}: y" for i in range(10_000))))
told("another-protocol", lambda connection: connection.sendall(b"\x1b[31mSSH-2.0\r\n"))
told("a-phrase-with-escapes", said("404 \x1b[31mGone\x1b]0;x\x07\r\nContent-Length: 0"))
told("a-pause-of-an-hour", said("429 Slow\r\nRetry-After: 3600\r\nContent-Length: 0"))
told("a-terabyte", said("200 OK\r\nContent-Length: 1099511627776"))
told("another-part-than-was-asked", said("206 Partial\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5"))


def cached(content: bytes) -> str:
    """A file in the cache that was locked by an earlier version, which did not look whether it is whole."""
    url = _Servers.files.url("/w.pth")
    _Servers.files.files["/w.pth"] = Served(packed({"a": torch.zeros(4)}))
    wanted = Wanted.of_url(url)
    wanted.path.parent.mkdir(parents=True)
    wanted.path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    lock = {"size": len(content), "sha256": digest, "url": url, "when": "2025-01-01T00:00:00+00:00"}
    wanted.lock_file.write_text(json.dumps(lock))
    return url


@case("a-locked-file-that-does-not-load")
def _(folder: Path) -> list[str]:
    return ["weights", "fetch", cached(checkpoint(folder)[:-300])]


@case("a-locked-file-that-is-a-page")
def _(folder: Path) -> list[str]:
    return ["weights", "fetch", cached(b"<html>Sign in</html>")]


@case("a-locked-file-fetched-again")
def _(folder: Path) -> list[str]:
    return ["weights", "fetch", cached(checkpoint(folder)[:-300]), "--again"]


@case("a-lock-that-is-damaged")
def _(folder: Path) -> list[str]:
    url = cached(checkpoint(folder))
    Wanted.of_url(url).lock_file.write_text("[" * 100_000)
    return ["weights", "fetch", url]


@case("again-without-a-name")
def _(folder: Path) -> list[str]:
    return ["weights", "fetch", "--all", "--again"]


@pytest.fixture(autouse=True)
def _servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CROWDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("crowdbench.weights.download.LIMITS", QUICK)
    monkeypatch.setattr("time.sleep", lambda _: None)  # the pauses between attempts
    with serving() as _Servers.files, ExitStack() as _Servers.stack:
        yield


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit
@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = case.check(name, tmp_path, monkeypatch, capsys)
    assert "\x1b" not in text
    assert "\x07" not in text
    locks = list((tmp_path / "cache").rglob("*.lock.json"))
    if case.rows[name].status == 0:
        (lock,) = locks
        content = lock.with_name(lock.name.removesuffix(".lock.json")).read_bytes()
        assert json.loads(lock.read_text())["sha256"] == hashlib.sha256(content).hexdigest()
    elif "lock" not in name:
        assert locks == [], "nothing is trusted"
