"""Text that comes from files, plugins and servers, made safe to show."""


def plain(text: str) -> str:
    """Text in which nothing moves the cursor, changes colours or turns the writing around."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def plain_lines(text: str) -> str:
    """Like `plain`, for text of several lines: line breaks stay."""
    return "\n".join(plain(line) for line in text.split("\n"))
