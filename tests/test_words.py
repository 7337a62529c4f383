"""Plain words: private ones are not used anew, and the list of those that are left only gets shorter."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT = Path(__file__).with_name("words_left.json")
PRIVATE = re.compile(
    r"\b(whoever|somebody|nobody|anybody|strangers?|(?<!there )is no (?!longer\b)[a-z]+|hand(ed|s)? over|"
    r"call(ed|s)? off|told|eats|befalls)\b",
    re.IGNORECASE,
)


def found() -> dict[str, int]:
    """How many such words each file of the product and its documentation has."""
    files = [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
    ]
    for part in ("crowdbench", "methods", "datasets", "slurm"):
        files += (ROOT / part).rglob("*.py")
    counts = {p.relative_to(ROOT).as_posix(): len(PRIVATE.findall(p.read_text("utf-8"))) for p in files}
    return {name: count for name, count in sorted(counts.items()) if count}


def test_private_words_only_become_fewer() -> None:
    """A file that has fewer of them now: ``python tests/test_words.py`` writes the list anew."""
    assert found() == json.loads(LEFT.read_text("utf-8"))


if __name__ == "__main__":
    LEFT.write_text(json.dumps(found(), indent=1) + "\n", "utf-8")
