"""Name the content of a file that is not what was expected."""

import re

_SIGNATURES = (
    (b"\x1f\x8b", "gzip data inside gzip data: it was packed twice"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstandard data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"\xff\xfe", "UTF-16 text, not UTF-8"),
    (b"\xfe\xff", "UTF-16 text, not UTF-8"),
    (b"\x00\x00\xfe\xff", "UTF-32 text, not UTF-8"),
    *((b"\x80" + bytes([version]), "a Python pickle") for version in (2, 3, 4, 5)),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"%PDF", "a PDF"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "a SQLite database"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"PAR1", "a Parquet file"),
)
_REMEDIES = {
    "a zip archive": "Unpack it and give the file inside.",
    "a tar archive": "Unpack it and give the file inside.",
    "a 7z archive": "Unpack it and give the file inside.",
    "a RAR archive": "Unpack it and give the file inside.",
    "bzip2 data": "Unpack it first, or pack it with gzip.",
    "xz data": "Unpack it first, or pack it with gzip.",
    "zstandard data": "Unpack it first, or pack it with gzip.",
    "gzip data inside gzip data: it was packed twice": "Unpack it once.",
    "a Git LFS pointer, not the file itself": "Fetch the file itself with `git lfs pull`.",
    "a web page": "The download was answered with a page; fetch the file itself.",
    "UTF-16 text, not UTF-8": "Save it as UTF-8.",
    "UTF-32 text, not UTF-8": "Save it as UTF-8.",
}
_TAR_MARK = slice(257, 262)
_PYTHON_WORDS = (b"None", b"True", b"False")
_PLACE = re.compile(r" \(byte (\d+)\)")


def recognise(data: bytes) -> str | None:
    """What kind of file content is, by its first bytes; None where they tell nothing."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[_TAR_MARK] == b"ustar":
        return "a tar archive"
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return "a web page"
    if start.startswith(b"<?xml"):
        return "a web page" if b"<html" in start else "XML"
    return "UTF-16 text, not UTF-8" if _has_zeros_between(data[:64]) else None


def _has_zeros_between(data: bytes) -> bool:
    """As between the ASCII characters of UTF-16 without a byte order mark."""
    return len(data) >= 4 and any(data) and (not any(data[1::2]) or not any(data[::2]))


def remedy_of(found: str) -> str | None:
    """What to do about content of a kind that `recognise` names."""
    return _REMEDIES.get(found)


def not_json(data: bytes, fault: Exception) -> str:
    """What content that is not JSON seems to be instead, or where it breaks; and what to do."""
    found = recognise(data)
    if found is not None:
        return f"this is {found}. {_REMEDIES.get(found, 'Give the JSON file.')}"
    if not data.strip():
        return "the file is empty. What wrote it was probably interrupted; write it again."
    if isinstance(fault, UnicodeDecodeError):
        return f"byte {_first_odd_byte(data)} is not UTF-8, the encoding of JSON. Save it as UTF-8."
    reason, place = _place(data, str(fault))
    return f"not whole JSON ({reason}{place}). Write or copy the file again."


def _first_odd_byte(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as fault:
        return fault.start
    return len(data)


def _place(data: bytes, words: str) -> tuple[str, str]:
    """A parser's words, and the line and column that it means."""
    words = words.removeprefix("JSON is malformed: ")
    match = _PLACE.search(words)
    if match is None:
        return words, ""
    at = min(int(match[1]), len(data))
    reason = _PLACE.sub("", words)
    if reason.startswith("trailing characters"):
        at -= 1  # the first of them has been read
    here = data[at : at + 9].lstrip(b"-")
    before = data[:at].rstrip()
    if here.startswith((b"NaN", b"Infinity", b"nan", b"inf")):
        reason = "NaN and Infinity are no JSON"
    elif here.startswith(_PYTHON_WORDS) or here.startswith(b"'"):
        reason = "it is written as Python prints it; write it with json.dump"
    elif here[:1] in (b"]", b"}") and before.endswith(b","):
        reason = "a comma stands before a closing bracket"
    elif here.startswith((b"//", b"/*", b"#")):
        reason = "comments are no JSON"
    elif reason.startswith("trailing characters") and data[:at].rstrip(b" \t\r").endswith(b"\n"):
        reason = "more than one document: JSON lines, or files that were joined"
    line = data.count(b"\n", 0, at) + 1
    column = at - (data.rfind(b"\n", 0, at) + 1) + 1
    return reason, f", at line {line}, column {column}"
