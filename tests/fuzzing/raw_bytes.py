"""Mutations of a file's bytes: truncation, encodings, compression, and what transfers do to files."""

import bz2
import gzip
import lzma
import pickle
import random
from collections.abc import Callable


def _truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 4, 64))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _inserted(data: bytes, rng: random.Random) -> bytes:
    position = rng.randrange(len(data) + 1)
    piece = rng.choice(
        (b"\0", b"\xff\xfe", b",", b"]", b"{", b"NaN", b"\n", b"//c\n", rng.randbytes(8), b"1e999", b'"')
    )
    return data[:position] + piece + data[position:]


def _removed(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.choice((1, 2, 16, 512)) :]


def _as_text(encoding: str) -> Callable[[bytes, random.Random], bytes]:
    return lambda data, _: data.decode("utf-8", "replace").encode(encoding, "replace")


_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_truncated, _truncated, _flipped, _flipped, _inserted, _inserted, _removed),
    *(_as_text("utf-16"), _as_text("utf-8-sig"), _as_text("latin-1"), _as_text("utf-32")),
    lambda data, _: data.replace(b"\n", b"\r\n"),
    lambda data, _: data.replace(b", ", b",\r\n"),
    lambda data, _: gzip.compress(data),
    lambda data, _: gzip.compress(gzip.compress(data)),
    lambda data, rng: _truncated(gzip.compress(data), rng),
    lambda data, rng: _flipped(gzip.compress(data), rng),
    lambda data, _: gzip.compress(data) + b"\0" * 100,
    lambda data, rng: gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]),
    lambda data, _: bz2.compress(data),
    lambda data, _: lzma.compress(data),
    lambda data, _: pickle.dumps(data),
    lambda data, _: data + data,
    lambda data, _: data.rstrip()[:-1] + b"," + data.rstrip()[-1:],
    lambda data, _: b"\0" * len(data),
    lambda data, _: b"",
    lambda data, _: b"<!DOCTYPE html><html><body>404</body></html>",
    lambda data, _: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    lambda data, rng: b"[" * rng.choice((10, 100_000)),
    lambda data, rng: b'{"a":' * rng.choice((10, 100_000)),
    lambda data, rng: rng.randbytes(rng.choice((1, 16, 4096))),
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one or two changes."""
    for _ in range(rng.choice((1, 1, 2))):
        data = rng.choice(_CHANGES)(data, rng)
    return data
