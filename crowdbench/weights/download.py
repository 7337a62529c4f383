"""One file from one URL, in as many pieces as the network makes of it.

A transfer writes to a partial file, with a note beside it: which URL, how long the whole is, and the ETag or
Last-Modified that tells one version of the file from the next. A cut transfer asks for the rest under the
condition that the version is still the same (If-Range), so that two versions are never joined.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from crowdbench import __version__
from crowdbench.errors import MissingDataError
from crowdbench.files import write_whole

if TYPE_CHECKING:
    from requests import Response, Session

log = logging.getLogger("crowdbench")

ATTEMPTS = 5
PAUSE_S = 1.0  # before the second attempt; doubled each time
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
_CHUNK = 64 * 1024
_BUSY = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Transfer:
    """How far a transfer is: bytes on disk, of so many if the server tells."""

    name: str
    done: int
    of: int | None


class TransferError(MissingDataError):
    """A transfer that did not come to its end; what came stays in the partial file."""


class _CutOffError(Exception):
    """A transfer stopped in a way that another attempt may mend."""


class _Note(msgspec.Struct, frozen=True):
    """What a partial file is a part of."""

    url: str
    version: str | None
    total: int | None


def note_file(partial: Path) -> Path:
    """The note beside a partial file."""
    return partial.with_name(f"{partial.name}.json")


def discard(partial: Path) -> None:
    """Remove a partial file and its note."""
    note_file(partial).unlink(missing_ok=True)
    partial.unlink(missing_ok=True)


def download(
    url: str,
    partial: Path,
    *,
    on_bytes: Callable[[int, int | None], None] = lambda done, of: None,
    attempts: int = ATTEMPTS,
    pause_s: float = PAUSE_S,
    timeout_s: tuple[float, float] = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
) -> None:
    """Complete a partial file. Only one process may do so at a time.

    Args:
        url: http or https.
        partial: where the bytes go; what an earlier transfer left there is continued.
        on_bytes: called with the bytes on disk and the whole length, None if the server does not tell it.
        attempts: how often to try while the server is busy or the connection breaks.
        pause_s: before the second attempt; doubled each time.
        timeout_s: to connect, and without any byte.

    Raises:
        TransferError: one sentence on why; the partial file is kept.
        OSError: the partial file cannot be written.
    """
    import requests
    import urllib3

    failures = (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
    )  # some slip through requests
    with requests.Session() as session:
        session.headers.update({"User-Agent": f"crowdbench/{__version__}", "Accept-Encoding": "identity"})
        for attempt in range(1, attempts + 1):
            try:
                if not _is_whole(url, partial):
                    _continue(session, url, partial, on_bytes, timeout_s)
                _flush(partial)
                return
            except _CutOffError as error:
                reason = str(error)
            except failures as error:
                reason = _reason(error, url, timeout_s)
                if _is_hopeless(error, attempt):
                    raise TransferError(f"{reason}.") from error
            if attempt < attempts:
                pause = pause_s * 2 ** (attempt - 1)
                log.info("%s; attempt %d of %d in %.0f s", reason, attempt + 1, attempts, pause)
                time.sleep(pause)
    raise TransferError(f"{reason}, {attempts} times over.")


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _read_note(url: str, partial: Path) -> _Note | None:
    """The note, if it is about this URL."""
    try:
        note = msgspec.json.decode(note_file(partial).read_bytes(), type=_Note)
    except (FileNotFoundError, msgspec.DecodeError):
        return None  # without a readable note nobody knows what the bytes are; they come again
    return note if note.url == url else None


def _is_whole(url: str, partial: Path) -> bool:
    note = _read_note(url, partial)
    return note is not None and note.total is not None and _size(partial) == note.total


def _continue(
    session: "Session",
    url: str,
    partial: Path,
    on_bytes: Callable[[int, int | None], None],
    timeout_s: tuple[float, float],
) -> None:
    """Get what is missing, in one request."""
    note, have = _read_note(url, partial), _size(partial)
    resumable = have > 0 and note is not None and note.version is not None
    headers = {"Range": f"bytes={have}-", "If-Range": note.version} if resumable and note else {}
    with session.get(url, headers=headers, stream=True, timeout=timeout_s) as response:
        _refuse_downgrade(response)
        if response.status_code == 416:  # the server's file is shorter than what is here
            discard(partial)
            raise _CutOffError(f"{_host(url)} has another version of the file")
        _refuse_answer(response, url)
        if response.status_code == 206:
            total = _total_of_rest(response.headers, have)
            # A server that does not know If-Range sends the rest of whatever it has now.
            same = (
                note is not None
                and note.total in (None, total)
                and note.version == _version(response.headers)
            )
            if total is None or not same:
                discard(partial)
                raise _CutOffError(f"{_host(url)} has another version of the file")
        else:
            have, total = 0, _length(response.headers)
            discard(partial)
            note = _Note(url, _version(response.headers), total)
            write_whole(note_file(partial), msgspec.json.encode(note))
        with partial.open("ab" if have else "wb") as file:
            on_bytes(have, total)
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                on_bytes(have, total)
    # The file itself is asked: where locks do not work, another process may have begun it anew.
    if total is not None and _size(partial) != total:
        raise _CutOffError(f"{_host(url)} broke off after {_size(partial)} of {total} bytes")


def _refuse_downgrade(response: "Response") -> None:
    """A first download is trusted for ever: it must not be led from an encrypted to an open connection."""
    from requests.exceptions import InvalidURL

    schemes = [urlsplit(step.url).scheme for step in (*response.history, response)]
    if "https" in schemes and "http" in schemes[schemes.index("https") :]:
        raise InvalidURL("it leads from https:// to http://")


def _refuse_answer(response: "Response", url: str) -> None:
    status, host = response.status_code, _host(url)
    if status in _BUSY:
        raise _CutOffError(f"{host} answered {status} {response.reason}")
    if status not in (200, 206):
        raise TransferError(f"{host} answered {status} {response.reason}.")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise TransferError(f"{host} sent a web page instead of the file.")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise TransferError(f"{host} sent the file packed, so that its length cannot be checked.")
    length = _length(response.headers)
    if length == 0:
        raise TransferError(f"{host} sent an empty file.")
    if length is None and response.headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise TransferError(f"{host} does not say how long the file is, so that a cut one looks whole.")


def _length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _version(headers: Mapping[str, str]) -> str | None:
    """What If-Range can compare: a strong ETag, or else the time of the last change."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _total_of_rest(headers: Mapping[str, str], have: int) -> int | None:
    """The whole length, if the answer is the piece from `have` to the end."""
    piece, _, total = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    if not total.isdecimal() or piece != f"{have}-{int(total) - 1}":
        return None
    return int(total)


def _flush(partial: Path) -> None:
    with partial.open("rb") as file:
        os.fsync(file.fileno())


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _reason(error: Exception, url: str, timeout_s: tuple[float, float]) -> str:
    from requests import exceptions

    sentences: list[tuple[tuple[type[Exception], ...], str]] = [
        ((exceptions.ConnectTimeout,), f"did not answer within {timeout_s[0]:g} s"),
        ((exceptions.ReadTimeout,), f"fell silent for {timeout_s[1]:g} s"),
        ((exceptions.ProxyError,), "cannot be reached through the proxy that is set"),
        ((exceptions.SSLError,), "cannot prove who it is (TLS certificate)"),
        ((exceptions.ChunkedEncodingError,), "broke off the transfer"),
        (_no_address(), f"leads to where nothing can be fetched from ({error})"),
    ]
    # Silence in the middle of a transfer comes as a plain ConnectionError.
    silent = "Read timed out" in str(error)
    for kinds, sentence in sentences:
        if isinstance(error, kinds) or (silent and exceptions.ReadTimeout in kinds):
            return f"{_host(url)} {sentence}"
    return f"cannot connect to {_host(url)} ({_cause(error)})"


def _no_address() -> tuple[type[Exception], ...]:
    """What is raised about addresses, the one asked for or one redirected to."""
    from requests import exceptions
    from urllib3.exceptions import LocationParseError

    return (
        exceptions.InvalidURL,
        exceptions.InvalidSchema,
        exceptions.TooManyRedirects,
        LocationParseError,
    )


def _is_hopeless(error: Exception, attempt: int) -> bool:
    """Whether another attempt would fail alike. Without any connection yet, there is no network."""
    from requests import exceptions
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    final: tuple[type[Exception], ...] = (exceptions.SSLError, exceptions.ProxyError, *_no_address())
    unconnected = (NewConnectionError, ConnectTimeoutError)
    return isinstance(error, final) or (
        attempt == 1 and any(isinstance(layer, unconnected) for layer in _layers(error))
    )


def _cause(error: Exception) -> str:
    """What the operating system said, under the layers of the libraries."""
    said = [
        layer.strerror or str(layer)
        for layer in _layers(error)
        if isinstance(layer, ConnectionError) or (isinstance(layer, OSError) and layer.strerror)
    ]
    return said[-1] if said else type(error).__name__


def _layers(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
