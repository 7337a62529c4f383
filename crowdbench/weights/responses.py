"""Receive a server's response within limits of time, size and redirects.

A connection's own timeouts end silence only. A server that sends a byte now and then is waited for by another
thread, which is left alone when the time is up; it ends with its connection or with the process.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from crowdbench.system.text import in_bytes

if TYPE_CHECKING:
    from requests import Response, Session

_PIECE = 16 * 1024
_WAITING = 64  # pieces between the two threads
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Limits:
    """What a server may take.

    Attributes:
        connect_s: until there is a connection.
        silence_s: without any byte.
        head_s: until the answer begins, with all redirects.
        redirects: how many.
        slowest: bytes a second, over `window_s`.
        window_s: so long may a transfer be slower.
        largest: bytes of a file.
        largest_unannounced: bytes of a file whose length the server does not tell.
        pause_s: the longest that it may ask to be left alone before it is asked again.
    """

    connect_s: float = 10.0
    silence_s: float = 30.0
    head_s: float = 60.0
    redirects: int = 10
    slowest: int = 1024
    window_s: float = 60.0
    largest: int = 64 << 30
    largest_unannounced: int = 8 << 30
    pause_s: float = 60.0


class SlowError(Exception):
    """A server took longer than the limits allow; says what it did."""


class Answer:
    """An answer to one request, on its way.

    Args:
        session: which makes the request.
        url: of what.
        headers: of the request.
        limits: that the server is held to.
    """

    def __init__(self, session: "Session", url: str, headers: Mapping[str, str], limits: Limits) -> None:
        self._limits = limits
        self._come: Queue[Response | bytes | BaseException | None] = Queue(_WAITING)
        self._over = threading.Event()
        threading.Thread(target=self._receive, args=(session, url, dict(headers)), daemon=True).start()

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def head(self) -> "Response":
        """The answer without its content, after all redirects.

        Raises:
            SlowError: it did not come in time.
            RequestException, HTTPError: of requests and urllib3: the connection failed.
        """
        try:
            found = self._come.get(timeout=self._limits.head_s)
        except Empty:
            raise SlowError(f"did not begin to answer within {self._limits.head_s:g} s") from None
        if isinstance(found, BaseException):
            raise found
        assert found is not None and not isinstance(found, bytes)  # noqa: PT018  (the head comes first)
        return found

    def pieces(self) -> Iterator[bytes]:
        """The content, piece by piece.

        Raises:
            SlowError: it comes too slowly.
            RequestException, HTTPError: of requests and urllib3: the connection failed.
        """
        waited, received = 0.0, 0
        while True:
            begun = time.monotonic()
            try:
                found = self._come.get(timeout=max(self._limits.window_s - waited, 0.001))
            except Empty:
                found = b""
            # Only the wait is the server's; how long the disk takes is not.
            waited += time.monotonic() - begun
            if isinstance(found, BaseException):
                raise found
            if found is None:
                return
            assert isinstance(found, bytes)
            received += len(found)
            if waited >= self._limits.window_s:
                if received < self._limits.slowest * self._limits.window_s:
                    raise SlowError(
                        f"sends less than {in_bytes(self._limits.slowest)} a second "
                        f"({in_bytes(received)} in {waited:.3g} s)"
                    )
                waited, received = 0.0, 0
            if found:
                yield found

    def _receive(self, session: "Session", url: str, headers: dict[str, str]) -> None:
        try:
            with self._asked(session, url, headers) as response:
                self._put(response)
                for piece in response.iter_content(_PIECE):
                    self._put(piece)
                self._put(None)
        except _UnwantedError:
            return
        except BaseException as error:  # passed to the waiting thread
            try:
                self._put(error)
            except _UnwantedError:
                return

    def _put(self, what: "Response | bytes | BaseException | None") -> None:
        while not self._over.is_set():
            try:
                self._come.put(what, timeout=0.2)
            except Full:
                continue
            return
        raise _UnwantedError

    def _asked(self, session: "Session", url: str, headers: dict[str, str]) -> "Response":
        """Follow redirects here, because requests would read the body of each, which may be endless."""
        from requests.exceptions import InvalidURL, RequestException, TooManyRedirects
        from requests.utils import requote_uri

        session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
        way = [url]
        timeout = (self._limits.connect_s, self._limits.silence_s)
        try:
            while True:
                response = session.get(way[-1], headers=headers, stream=True, timeout=timeout)
                target = response.headers.get("Location")
                if response.status_code not in _REDIRECTS or target is None:
                    return response
                response.close()
                if len(way) > self._limits.redirects:
                    raise TooManyRedirects(f"more than {self._limits.redirects} redirects")
                place = target.encode("latin-1", "replace").decode("utf-8", "replace")
                way.append(urljoin(response.url, requote_uri(place)))
                refuse_downgrade(way)
        except RequestException:
            raise
        except ValueError as error:  # what Python's own parsers say of an address
            raise InvalidURL(str(error)) from error


def refuse_downgrade(way: list[str]) -> None:
    """A first download is trusted for ever: it must not be led from an encrypted to an open connection."""
    from requests.exceptions import InvalidURL

    schemes = [urlsplit(step).scheme for step in way]
    if "https" in schemes and "http" in schemes[schemes.index("https") :]:
        raise InvalidURL("it leads from https:// to http://")


class _UnwantedError(Exception):
    """The response is no longer needed."""
