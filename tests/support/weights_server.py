"""A file server on this machine that can misbehave in the ways that real ones do, and a table that points to it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support.plugins import install_fake_distribution


@dataclass
class Served:
    """A file as the server gives it; tests change it while it is being served.

    Attributes:
        body: the content.
        etag, last_modified: which version it is.
        ranges: whether a part may be asked for.
        conditions: whether If-Range is understood.
        cuts: how many bytes to send before the connection breaks, one for each of the next requests.
        statuses: answer the next requests with these instead.
        headers: more of them; a value of None takes one away.
        chunked: send no length.
        pause_s: between pieces of `piece` bytes.
        hold: if set, send the first piece and then nothing until it is set.
    """

    body: bytes
    etag: str | None = '"v1"'
    last_modified: str | None = None
    ranges: bool = True
    conditions: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str | None] = field(default_factory=dict)
    chunked: bool = False
    pause_s: float = 0.0
    piece: int = 1 << 16
    hold: threading.Event | None = None


@dataclass
class Asked:
    """A request: which part was asked for, under which condition, and how many bytes were sent."""

    path: str
    range: str | None
    condition: str | None
    sent: int = 0
    whole: bool = False


class Server(ThreadingHTTPServer):
    """Serves `files` by path and keeps a list of what was `asked`."""

    daemon_threads = True
    block_on_close = False  # a handler that holds a connection must not hold the test

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = Asked(self.path, self.headers.get("Range"), self.headers.get("If-Range"))
        self.server.asked.append(asked)
        file = self.server.files.get(self.path)
        self.close_connection = True
        if file is None or file.statuses:
            self.send_response(404 if file is None else file.statuses.pop(0))
            self.end({"Content-Length": "0", **(file.headers if file else {})})
            return
        version = file.etag or file.last_modified
        start = 0
        if asked.range and file.ranges and (not file.conditions or asked.condition in (None, version)):
            start = int(asked.range.removeprefix("bytes=").removesuffix("-"))
        total = len(file.body)
        if start >= total > 0:
            self.send_response(416)
            self.end({"Content-Length": "0", "Content-Range": f"bytes */{total}"})
            return
        self.send_response(206 if start else 200)
        self.end(
            {
                "Content-Type": "application/octet-stream",
                "Content-Length": None if file.chunked else str(total - start),
                "Transfer-Encoding": "chunked" if file.chunked else None,
                "Content-Range": f"bytes {start}-{total - 1}/{total}" if start else None,
                "ETag": file.etag,
                "Last-Modified": file.last_modified,
                **file.headers,
            }
        )
        self.send(file, file.body[start:], asked)

    def end(self, headers: dict[str, str | None]) -> None:
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def send(self, file: Served, body: bytes, asked: Asked) -> None:
        cut = file.cuts.pop(0) if file.cuts else len(body)
        for at in range(0, min(cut, len(body)), file.piece):
            piece = body[at : min(at + file.piece, cut)]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if file.chunked else piece)
            asked.sent += len(piece)
            time.sleep(file.pause_s)
            if file.hold is not None:
                file.hold.wait(30)
        if cut >= len(body):
            asked.whole = True
            if file.chunked:
                self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Nothing to stderr."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server for the length of a block."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def weights_like(size: int, seed: int = 0) -> bytes:
    """A whole safetensors file of so many bytes, which differ from place to place."""
    import json

    import numpy as np

    count = size - 8 - 96
    header = json.dumps({"w": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}).encode()
    return (96).to_bytes(8, "little") + header.ljust(96) + np.random.default_rng(seed).bytes(count)


def install_table(site: Path, table: str, package: str = "stranger") -> None:
    """Install a distribution with a table of weights into a folder for PYTHONPATH."""
    install_fake_distribution(site, package, {"data": {package: package}}, version="3.1")
    (site / package).mkdir(exist_ok=True)
    # Reading the table must not import the package.
    (site / package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (site / package / "weights.toml").write_text(table)


def entry(name: str, url: str, *more: str, file: str = "weights.pth", dataset: str = "crowdpose") -> str:
    """One entry of a table."""
    lines = [
        "[[weights]]",
        f'name = "{name}"',
        f'method = "{name.split("/", 1)[0]}"',
        'role = "trained"',
        f'dataset = "{dataset}"',
        'training_data = "crowdpose trainval"',
        f'file = "{file}"',
        f'url = "{url}"',
        *more,
    ]
    return "\n".join(lines) + "\n"
