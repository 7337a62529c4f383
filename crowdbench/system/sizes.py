"""Numbers of bytes, in words."""

GIB = 1 << 30


def in_bytes(count: int) -> str:
    """A number of bytes in the unit that suits it."""
    for unit, size in (("GiB", GIB), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
