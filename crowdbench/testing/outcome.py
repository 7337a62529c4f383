"""Checks, their outcomes and how they are run."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from crowdbench.errors import CrowdbenchError, PluginError, ShapeError

SubjectT = TypeVar("SubjectT")

# The number of innermost traceback frames that are shown.
_FRAMES = 3


@dataclass(frozen=True)
class Passed:
    """The check passed. `note` gives the precision of the check where it varies."""

    note: str = ""


@dataclass(frozen=True)
class Failed:
    """The contract is violated.

    Attributes:
        expected: what the contract requires.
        came: what was found instead, with numbers.
        why: the consequence for code that relies on the contract.
    """

    expected: str
    came: str
    why: str

    def __str__(self) -> str:
        return f"expected: {self.expected}\ncame: {self.came}\nwhy it matters: {self.why}"


@dataclass(frozen=True)
class Inapplicable:
    """The check does not apply to the subject."""

    reason: str


Outcome = Passed | Failed | Inapplicable


@dataclass(frozen=True)
class Check(Generic[SubjectT]):
    """One check of a method or dataset.

    Attributes:
        name: used in reports and, as ``test_<name>``, in pytest.
        question: a one-line question that the check answers.
        run: runs the check on a subject.
        why: the consequence if the subject raises an error.
    """

    name: str
    question: str
    run: Callable[[SubjectT], Outcome]
    why: str


class NotApplicable(Exception):
    """A requirement of a check is not met. The message gives the reason and any check that reports it."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check."""

    name: str
    question: str
    outcome: Outcome


def carry_out(check: Check[SubjectT], subject: SubjectT) -> CheckResult:
    """Run a check on a subject. An exception raised by the subject is a failure of the check."""
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
    """Run all checks lazily, or only the one named `only`."""
    return (carry_out(check, subject) for check in checks if only in (None, check.name))


def is_not_finite(error: BaseException) -> bool:
    """Whether the error reports NaN or infinity in a pose."""
    return isinstance(error, PluginError | ShapeError) and "must be finite" in str(error)


def described(error: BaseException) -> str:
    """The type and message of an error, with the innermost frames unless it is a `CrowdbenchError`."""
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, CrowdbenchError):
        return said
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = (f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames)
    return "\n".join([said, *places])
