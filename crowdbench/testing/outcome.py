"""What a check finds, and how a check is carried out."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from crowdbench.errors import CrowdbenchError, PluginError, ShapeError

SubjectT = TypeVar("SubjectT")

# Of a traceback, so much is shown: where it happened, not crowdbench's way there.
_FRAMES = 3


@dataclass(frozen=True)
class Passed:
    """Nothing is wrong; `note` says how exactly that was seen, where exactness varies."""

    note: str = ""


@dataclass(frozen=True)
class Failed:
    """The contract is broken.

    Attributes:
        expected: what the contract says.
        came: what was found instead, with numbers.
        why: what goes wrong for code that relies on it.
    """

    expected: str
    came: str
    why: str

    def __str__(self) -> str:
        return f"expected: {self.expected}\ncame: {self.came}\nwhy it matters: {self.why}"


@dataclass(frozen=True)
class Inapplicable:
    """There is nothing to check here."""

    reason: str


Outcome = Passed | Failed | Inapplicable


@dataclass(frozen=True)
class Check(Generic[SubjectT]):
    """One question to a method or dataset.

    Attributes:
        name: names it in reports and, as ``test_<name>``, in pytest.
        question: what it asks, in a line.
        run: answers it.
        why: what goes wrong if the subject raises an error instead of answering.
    """

    name: str
    question: str
    run: Callable[[SubjectT], Outcome]
    why: str


class NotApplicable(Exception):
    """A check needs something that another check reports on; the message says which."""


@dataclass(frozen=True)
class CheckResult:
    """A check and what it found."""

    name: str
    question: str
    outcome: Outcome


def carry_out(check: Check[SubjectT], subject: SubjectT) -> CheckResult:
    """Ask a subject one question. What the subject raises is what it is being checked for: a failure."""
    try:
        outcome = check.run(subject)
    except NotApplicable as reason:
        outcome = Inapplicable(str(reason))
    except Exception as error:
        outcome = Failed(f"an answer to: {check.question}", described(error), check.why)
    return CheckResult(check.name, check.question, outcome)


def carry_out_all(
    checks: Sequence[Check[SubjectT]], subject: SubjectT, only: str | None = None
) -> Iterator[CheckResult]:
    """Ask all questions, or one."""
    return (carry_out(check, subject) for check in checks if only in (None, check.name))


def is_not_finite(error: BaseException) -> bool:
    """Whether a method was stopped because a pose of it has NaN or infinity in it."""
    return isinstance(error, PluginError | ShapeError) and "must be finite" in str(error)


def described(error: BaseException) -> str:
    """An error in words: of crowdbench's own the message, of others the place too."""
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, CrowdbenchError):
        return said
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = (f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames)
    return "\n".join([said, *places])
