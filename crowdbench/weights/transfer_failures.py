"""Explain why a transfer failed, and whether a retry may help."""

from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from urllib.parse import urlsplit

from crowdbench.system.text import plain
from crowdbench.weights.responses import Limits

_SHOWN = 100


def host_of(url: str) -> str:
    """The host of a URL, and its port, for messages."""
    return plain(urlsplit(url).netloc)


def reason_of(error: Exception, url: str, limits: Limits) -> str:
    """What happened, as a sentence that begins with the host."""
    from requests import exceptions

    sentences: list[tuple[tuple[type[Exception], ...], str]] = [
        ((exceptions.ConnectTimeout,), f"did not answer within {limits.connect_s:g} s"),
        ((exceptions.ReadTimeout,), f"fell silent for {limits.silence_s:g} s"),
        ((exceptions.ProxyError,), "cannot be reached through the proxy that is set"),
        ((exceptions.SSLError,), "cannot prove who it is (TLS certificate)"),
        ((exceptions.ChunkedEncodingError,), "broke off the transfer"),
        (_no_address(), f"leads to where nothing can be fetched from ({plain(str(error))[:200]})"),
    ]
    # Silence in the middle of a transfer comes as a plain ConnectionError.
    silent = "Read timed out" in str(error)
    for kinds, sentence in sentences:
        if isinstance(error, kinds) or (silent and exceptions.ReadTimeout in kinds):
            return f"{host_of(url)} {sentence}"
    broken = _breach(error)
    if broken is not None:
        return f"{host_of(url)} sends an answer that is not HTTP ({plain(str(broken))[:_SHOWN]})"
    return f"cannot connect to {host_of(url)} ({plain(_cause(error))})"


def _breach(error: Exception) -> HTTPException | None:
    """What in an answer is not as HTTP has it: thousands of headers, lines without an end."""
    cut_off = (RemoteDisconnected, IncompleteRead)
    found = [e for e in _layers(error) if isinstance(e, HTTPException) and not isinstance(e, cut_off)]
    return found[0] if found else None


def _no_address() -> tuple[type[Exception], ...]:
    """What is raised about addresses, the one asked for or one redirected to."""
    from requests import exceptions
    from urllib3.exceptions import LocationParseError

    return (exceptions.InvalidURL, exceptions.InvalidSchema, exceptions.TooManyRedirects, LocationParseError)


def is_hopeless(error: Exception, attempt: int) -> bool:
    """Whether another attempt would fail alike. Without any connection yet, there is no network."""
    from requests import exceptions
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    final: tuple[type[Exception], ...] = (exceptions.SSLError, exceptions.ProxyError, *_no_address())
    unconnected = (NewConnectionError, ConnectTimeoutError)
    return (
        isinstance(error, final)
        or _breach(error) is not None
        or (attempt == 1 and any(isinstance(layer, unconnected) for layer in _layers(error)))
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
