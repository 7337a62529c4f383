"""Strip the prefixes that wrappers (DataParallel, torch.compile, Lightning, ...) add to tensor names.

A prefix is never taken off for its own sake: only names that then are the network's own tell that it was one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from crowdbench.system.text import plain

T = TypeVar("T")
State = Mapping[str, T]
_WRAPPERS = ("module", "_orig_mod")
_DEEPEST = 6


def unwrapped(state: State[T]) -> dict[str, T]:
    """Without ``module.`` and ``_orig_mod.`` in front of every name, in any order and number."""
    found = dict(state)
    while found and len({name.partition(".")[0] for name in found}) == 1:
        first, dot, _ = next(iter(found)).partition(".")
        if first not in _WRAPPERS or not dot or not all(name.startswith(f"{first}.") for name in found):
            break
        found = {name.partition(".")[2]: value for name, value in found.items()}
    return found


def fitted(
    state: State[T], own: Iterable[str], rename: Callable[[State[T]], State[T]] = lambda state: state
) -> tuple[dict[str, T], str | None]:
    """The weights under those of their possible names that are a network's.

    Args:
        state: anything by the names of a file.
        own: the names that the network has.
        rename: names of the file → of the network; may raise where they are not what it knows.

    Returns:
        The weights by the names that `rename` takes, and what was taken off, in words; None for nothing.
        Unless names match better without a prefix, it stays.
    """
    known = set(own)
    best: tuple[int, dict[str, T], str | None] | None = None
    for names, taken in _readings(state):
        hits = _hits(names, known, rename)
        if hits == len(known) == len(names):
            return names, taken
        if best is None or hits > best[0]:
            best = hits, names, taken
    assert best is not None  # the names as they are come first
    if best[0] <= 0:  # the caller, which loads them, reports what is wrong
        return unwrapped(state), None
    return best[1], best[2]


def _hits(names: State[T], known: set[str], rename: Callable[[State[T]], State[T]]) -> int:
    try:
        return sum(name in known for name in rename(names))
    except (
        Exception
    ):  # a method that does not know these names may fail in any way; it is asked again in the end
        return -1


def _readings(state: State[T]) -> Iterator[tuple[dict[str, T], str | None]]:
    """The names as they are, then with one more prefix off each time; then without wrappers anywhere."""
    yield dict(state), None
    for base, word in ((dict(state), ""), (_without_wrappers(state), " anywhere")):
        taken: list[str] = []
        names = base
        if word and names.keys() != state.keys():
            yield names, " and ".join(f"{wrapper}." for wrapper in _used(state)) + word
        for _ in range(_DEEPEST):
            first = _common(names)
            if first is None:
                break
            names = {name.partition(".")[2]: value for name, value in names.items()}
            taken.append(plain(first))
            yield names, "".join(f"{step}." for step in taken)


def _common(names: State[T]) -> str | None:
    """What stands before the first dot of every name."""
    firsts = {name.partition(".")[0] for name in names}
    if len(firsts) != 1 or not all("." in name for name in names):
        return None
    return firsts.pop()


def _without_wrappers(state: State[T]) -> dict[str, T]:
    found = {
        ".".join(step for step in name.split(".") if step not in _WRAPPERS): v for name, v in state.items()
    }
    return found if len(found) == len(state) else dict(state)


def _used(state: State[T]) -> list[str]:
    return [wrapper for wrapper in _WRAPPERS if any(wrapper in name.split(".") for name in state)]
