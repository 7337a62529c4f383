"""Mutations of parsed JSON: types, signs, magnitudes, orders, fields and entries."""

import copy
import random
from collections.abc import Callable
from typing import Any

Path = tuple[int | str, ...]

NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 0.5, -0.0, 99, 255, 2**31, 2**53, 2**53 + 1, 2**64, -(2**63), 10**30, 10**400),
    *(1e-308, 1e-9, 1e9, 1e154, 1e200, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), 1.5, 3.0),
)
TEXTS = (
    *("", " ", "0", "1", "1.5", "nan", "Infinity", "1e5", "abc", "null", "../../etc/passwd", "/etc/passwd"),
    *(
        "\x1b[31mred\x1b[0m",
        "a\nb",
        "\u202egnp.1",
        "=1+1",
        "\ud800",
        "é" * 200,
        "x" * 300,
        "\0",
        "000001.jpg",
    ),
)


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def paths(tree: Any, limit: int = 4000) -> list[Path]:
    """Where values stand in a tree, from the top down."""
    found: list[Path] = [()]
    queue: list[tuple[Path, Any]] = [((), tree)]
    for path, value in queue:
        if len(found) > limit:
            break
        items = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, child in items:
            found.append((*path, key))
            queue.append(((*path, key), child))
    return found


def at(tree: Any, path: Path) -> Any:
    """The value at a path."""
    for key in path:
        tree = tree[key]
    return tree


def replaced(tree: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """The tree with the value at a path changed; the tree itself is changed in place."""
    if not path:
        return change(tree)
    parent = at(tree, path[:-1])
    parent[path[-1]] = change(parent[path[-1]])
    return tree


def another_value(value: Any, rng: random.Random) -> Any:
    """A value of another kind, sign or magnitude."""
    if isinstance(value, bool) or value is None:
        return rng.choice((0, 1, "true", None, [], {}, True, False))
    if isinstance(value, int) and abs(value) > 10**300:  # no float is as large
        return rng.choice((-value, 10 * value, [value], None, rng.choice(NUMBERS)))
    if isinstance(value, int | float):
        return rng.choice(
            (
                lambda: rng.choice(NUMBERS),
                lambda: -value,
                lambda: value * rng.choice((10.0, 1e3, 1e-3, 1e6)),
                lambda: value + rng.choice((1, -1, 0.5, 1e-9)),
                lambda: float(value),
                lambda: str(value),
                lambda: [value],
                lambda: None,
                lambda: True,
                lambda: {"value": value},
            )
        )()
    if isinstance(value, str):
        return rng.choice(
            (
                lambda: rng.choice(TEXTS),
                value.upper,
                lambda: value + " ",
                lambda: 7,
                lambda: None,
                lambda: [value],
            )
        )()
    if isinstance(value, list):
        return _another_list(value, rng)
    return rng.choice(
        (lambda: [], lambda: list(value.values()), lambda: None, lambda: {}, lambda: "x", lambda: [value])
    )()


def _another_list(value: list[Any], rng: random.Random) -> Any:
    if not value:
        return rng.choice(([None], [0], {}, None, [[]]))
    position = rng.randrange(len(value))

    def without() -> list[Any]:
        return value[:position] + value[position + 1 :]

    def doubled() -> list[Any]:
        return [*value, copy.deepcopy(value[position])]

    def shuffled() -> list[Any]:
        return rng.sample(value, len(value))

    def scaled() -> list[Any]:
        factor = rng.choice((-1, 0, 0.001, 1 / 640, 1000.0, 1e200))
        return [v * factor if isinstance(v, int | float) else v for v in value]

    def exchanged() -> list[Any]:
        found = list(value)
        for i in range(0, len(found) - 1, rng.choice((2, 3))):
            found[i], found[i + 1] = found[i + 1], found[i]
        return found

    return rng.choice(
        (
            *(without, doubled, shuffled, scaled, exchanged),
            *(
                lambda: [],
                lambda: value[:position],
                lambda: value * 2,
                lambda: value[::-1],
                lambda: {},
                lambda: None,
            ),
            *(
                lambda: [value],
                lambda: dict(enumerate(map(str, value))),
                lambda: nested(rng.choice((5, 200))),
            ),
        )
    )()


def _of_fields(tree: Any, path: Path, rng: random.Random) -> Any:
    """Fields removed, renamed, exchanged or added."""
    value = at(tree, path)
    if not isinstance(value, dict) or not value:
        return replaced(tree, path, lambda v: another_value(v, rng))
    key = rng.choice(list(value))
    kind = rng.randrange(5)
    if kind == 0:
        del value[key]
    elif kind == 1:
        value[rng.choice((f"{key}".upper(), f"{key}s", "Key", f"{key}"[:-1]))] = value.pop(key)
    elif kind == 2:
        other = rng.choice(list(value))
        value[key], value[other] = value[other], value[key]
    elif kind == 3:
        value[rng.choice(("extra", "score", "bbox", "area", "id"))] = rng.choice((*NUMBERS, *TEXTS, [], {}))
    else:
        value[key] = another_value(value[key], rng)
    return tree


def _of_a_column(tree: Any, path: Path, rng: random.Random) -> Any:
    """The same change in every entry of a list of objects, as a tool with a fault would make it."""
    value = at(tree, path)
    if not isinstance(value, list) or not value or not isinstance(value[0], dict) or not value[0]:
        return replaced(tree, path, lambda v: another_value(v, rng))
    key = rng.choice(list(value[0]))
    seed = rng.random()
    for entry in value:
        if isinstance(entry, dict) and key in entry:
            entry[key] = another_value(entry[key], random.Random(seed))
    return tree


def mutated(tree: Any, rng: random.Random) -> Any:
    """A copy with one to three mutations."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        # Half of the time near the top, where a change touches everything.
        found = paths(tree)
        path = rng.choice(found[: rng.choice((8, 40, len(found)))])
        change = rng.choice(
            (_of_fields, _of_a_column, lambda t, p, r: replaced(t, p, lambda v: another_value(v, r)))
        )
        tree = change(tree, path, rng)
    return tree
