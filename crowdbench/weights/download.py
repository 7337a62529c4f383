"""Download a file from a URL, resuming after every interruption.

A transfer writes to a partial file, with a note next to it: the URL, the total length, and the ETag or
Last-Modified. After an interruption the rest is requested on condition that the version is the same
(If-Range), so that two versions are never joined; `crowdbench.weights.responses.Limits` bounds the server.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crowdbench.errors import MissingDataError
from crowdbench.system.files.writing import write_whole
from crowdbench.system.text import in_bytes, plain
from crowdbench.system.version import package_version
from crowdbench.weights.checkpoint_file.formats import form_of_start, not_weights
from crowdbench.weights.responses import Answer, Limits, SlowError
from crowdbench.weights.transfer_failures import host_of, is_hopeless, reason_of

if TYPE_CHECKING:
    from requests import Response, Session

log = logging.getLogger("crowdbench")

ATTEMPTS = 5
PAUSE_S = 1.0  # before the second attempt; doubled each time
LIMITS = Limits()
_START = 1024  # bytes that tell what a file is
_SHOWN = 100
_DIGITS = 19  # of a length; no file has more
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
    """A transfer stopped in a way that another attempt may mend, after a pause that the server asks for."""

    def __init__(self, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


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
    size: int | None = None,
    limits: Limits | None = None,
) -> None:
    """Complete a partial file. Only one process may do so at a time.

    Args:
        url: http or https.
        partial: where the bytes go; what an earlier transfer left there is continued.
        on_bytes: called with the bytes on disk and the whole length, None if the server does not tell it.
        attempts: how often to try while the server is busy or the connection breaks.
        pause_s: before the second attempt; doubled each time.
        size: of the file, where it is published.
        limits: that the server is held to; None takes `LIMITS`.

    Raises:
        TransferError: one sentence on why; the partial file is kept.
        OSError: the partial file cannot be written.
    """
    import requests
    import urllib3

    limits = limits or LIMITS
    begun = time.monotonic()
    failures = (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
    )  # some slip through requests
    with requests.Session() as session:
        session.headers.update(
            {"User-Agent": f"crowdbench/{package_version()}", "Accept-Encoding": "identity"}
        )
        for attempt in range(1, attempts + 1):
            try:
                if not _is_whole(url, partial):
                    _continue(session, url, partial, on_bytes, size, limits)
                _flush(partial)
                return
            except _CutOffError as error:
                reason, asked_s = str(error), error.pause_s
            except SlowError as error:
                reason, asked_s = f"{host_of(url)} {error}", 0.0
            except failures as error:
                reason, asked_s = reason_of(error, url, limits), 0.0
                if is_hopeless(error, attempt):
                    raise TransferError(f"{reason}.") from error
            if attempt < attempts:
                pause = max(pause_s * 2 ** (attempt - 1), asked_s)
                log.info("%s; attempt %d of %d in %.0f s", reason, attempt + 1, attempts, pause)
                time.sleep(pause)
    raise TransferError(f"{reason}, {attempts} times over in {time.monotonic() - begun:.3g} s.")


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _read_note(url: str, partial: Path) -> _Note | None:
    """The note, if it is about this URL."""
    try:
        note = msgspec.json.decode(note_file(partial).read_bytes(), type=_Note)
    except (FileNotFoundError, msgspec.DecodeError):
        return None  # without a readable note the bytes cannot be identified; download them again
    return note if note.url == url else None


def _is_whole(url: str, partial: Path) -> bool:
    note = _read_note(url, partial)
    return note is not None and note.total is not None and _size(partial) == note.total


def _continue(
    session: "Session",
    url: str,
    partial: Path,
    on_bytes: Callable[[int, int | None], None],
    size: int | None,
    limits: Limits,
) -> None:
    """Get what is missing, in one request."""
    note, have = _read_note(url, partial), _size(partial)
    headers: dict[str, str] = {}
    if have > 0 and note is not None and note.version is not None:
        headers = {"Range": f"bytes={have}-", "If-Range": note.version}
    with Answer(session, url, headers, limits) as answer:
        response = answer.head()
        if response.status_code == 416:  # the server's file is shorter than what is here
            discard(partial)
            raise _CutOffError(f"{host_of(url)} has another version of the file")
        _refuse_answer(response, url, limits)
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
                raise _CutOffError(f"{host_of(url)} has another version of the file")
        else:
            have, total = 0, _length(response.headers)
            discard(partial)
            note = _Note(url, _version(response.headers), total)
        _refuse_size(total, size, limits, url)
        if not have:
            write_whole(note_file(partial), msgspec.json.encode(note))
        _write(answer, partial, have, total, size, limits, url, on_bytes)
    # The file itself is asked: where locks do not work, another process may have begun it anew.
    if total is not None and _size(partial) != total:
        raise _CutOffError(f"{host_of(url)} broke off after {_size(partial)} of {total} bytes")


def _write(
    answer: Answer,
    partial: Path,
    have: int,
    total: int | None,
    size: int | None,
    limits: Limits,
    url: str,
    on_bytes: Callable[[int, int | None], None],
) -> None:
    """Put the content behind what is here, as long as it can be the file that is wanted."""
    most = total or size or limits.largest_unannounced
    start = None if have else b""
    with partial.open("ab" if have else "wb") as file:
        on_bytes(have, total)
        for piece in answer.pieces():
            file.write(piece)
            have += len(piece)
            if start is not None:
                start = _seen(start + piece, partial, url, whole=have == total)
            if have > most:
                discard(partial)
                raise TransferError(
                    f"{host_of(url)} sends more than {in_bytes(most)}, without an end. Nothing is kept."
                )
            on_bytes(have, total)
        if start:
            _seen(start, partial, url, whole=True)


def _seen(start: bytes, partial: Path, url: str, *, whole: bool) -> bytes | None:
    """The beginning of the file as long as too little is known of it; then None, if it can be weights."""
    if len(start) < _START and not whole:
        return start
    if form_of_start(start[:_START]) is None:
        discard(partial)
        raise TransferError(f"{host_of(url)} sent something else: {not_weights(start[:_START])}")
    return None


def _refuse_size(total: int | None, size: int | None, limits: Limits, url: str) -> None:
    if total is None:
        return
    if size is not None and total != size:
        raise TransferError(f"{host_of(url)} has a file of {total} bytes; the published one has {size}.")
    if total > limits.largest:
        raise TransferError(
            f"{host_of(url)} has a file of {in_bytes(total)}; more than "
            f"{in_bytes(limits.largest)} are not fetched."
        )


def _refuse_answer(response: "Response", url: str, limits: Limits) -> None:
    status, host = response.status_code, host_of(url)
    said = f"{host} answered {status} {plain(str(response.reason or ''))[:_SHOWN]}".rstrip()
    if status in _BUSY:
        pause_s = _asked_pause(response.headers)
        if pause_s > limits.pause_s:
            raise TransferError(f"{said}, and asks to be left alone for {pause_s:.0f} s. Try again then.")
        raise _CutOffError(said, pause_s)
    if status not in (200, 206):
        raise TransferError(f"{said}.")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise TransferError(f"{host} sent a web page instead of the file.")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise TransferError(f"{host} sent the file packed, so that its length cannot be checked.")
    length = _length(response.headers)
    if length == 0:
        raise TransferError(f"{host} sent an empty file.")
    if length is None and response.headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise TransferError(f"{host} does not say how long the file is, so that a cut one looks whole.")


def _asked_pause(headers: Mapping[str, str]) -> float:
    """Seconds that ``Retry-After`` asks for, as a number or as a date; 0 if it does not."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal() and len(asked) < 10:
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and len(length) < _DIGITS else None


def _version(headers: Mapping[str, str]) -> str | None:
    """What If-Range can compare: a strong ETag, or else the time of the last change."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _total_of_rest(headers: Mapping[str, str], have: int) -> int | None:
    """The whole length, if the answer is the piece from `have` to the end."""
    piece, _, total = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    if not total.isdecimal() or len(total) >= _DIGITS or piece != f"{have}-{int(total) - 1}":
        return None
    return int(total)


def _flush(partial: Path) -> None:
    with partial.open("rb") as file:
        os.fsync(file.fileno())
