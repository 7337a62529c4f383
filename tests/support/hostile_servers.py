"""Servers that say one thing to everybody, byte by byte or without an end, for tests of transfers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from support.weights_server import weights_like

BODY = weights_like(100_000)
Talk = Callable[[socket.socket], None]


@contextmanager
def talking(talk: Talk) -> Iterator[str]:
    """A server that says the same to everybody; its URL."""
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                talk(connection)
                over.wait(10)
            except OSError:
                return  # the client hung up

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/w.pth"
        finally:
            over.set()


def said(head: str, body: bytes = b"") -> Talk:
    return lambda connection: connection.sendall(b"HTTP/1.1 " + head.encode() + b"\r\n\r\n" + body)


def trickled(head: bytes, rest: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.sendall(head)
        for byte in rest:
            connection.sendall(bytes([byte]))
            threading.Event().wait(0.02)  # tests that patch time.sleep keep the pace

    return talk


def endless(head: bytes, piece: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return talk


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"8000\r\n" + BODY[:0x8000] + b"\r\n"
