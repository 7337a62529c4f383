"""The checks as pytest classes. In a subclass that names its method or dataset, every check is a test."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from crowdbench.api.dataset import Dataset, load_dataset
from crowdbench.api.load_method import load_method
from crowdbench.api.method import Method
from crowdbench.errors import InputError
from crowdbench.plugins import installed
from crowdbench.testing.dataset_checks import DATASET_CHECKS, DatasetSubject
from crowdbench.testing.method_checks import METHOD_CHECKS
from crowdbench.testing.outcome import Check, Failed, Inapplicable, carry_out
from crowdbench.testing.run_checks import method_subject
from crowdbench.testing.subject import MethodSubject


class _Contract:
    """Base class of tests that share one subject, which is closed after the last test of the class."""

    _subject: ClassVar[Any]
    _closing: ClassVar[ExitStack]

    @classmethod
    def setup_class(cls) -> None:
        """Called by pytest before the first test of the class."""
        cls._subject = None
        cls._closing = ExitStack()

    @classmethod
    def teardown_class(cls) -> None:
        """Called by pytest after the last test of the class."""
        cls._subject = None
        cls._closing.close()

    def _opened(self) -> AbstractContextManager[Any]:
        raise NotImplementedError

    def _ask(self, check: Check[Any]) -> None:
        import pytest

        cls = type(self)
        if cls._subject is None:
            cls._subject = cls._closing.enter_context(self._opened())
        outcome = carry_out(check, cls._subject).outcome
        if isinstance(outcome, Inapplicable):
            pytest.skip(outcome.reason)
        if isinstance(outcome, Failed):
            pytest.fail(f"{check.question}\n{outcome}", pytrace=False)


def _test_of(check: Check[Any]) -> Callable[[_Contract], None]:
    def test(self: _Contract) -> None:
        self._ask(check)

    test.__name__ = f"test_{check.name}"
    test.__doc__ = check.question
    return test


class MethodContract(_Contract):
    """Tests of a method: ``class TestMine(MethodContract): method = "mine"``.

    Class attributes:
        method: the name under which it is installed. Alternatively, override `make`.
        dataset: the dataset whose keypoints and settings it uses; None for the first one installed.
            Its files need not be present.
        settings: overrides, by name.
        weights: as ``--weights``; ``"none"`` for random weights.
    """

    method: ClassVar[str | None] = None
    dataset: ClassVar[str | None] = None
    settings: ClassVar[Mapping[str, Any]] = {}
    weights: ClassVar[str | Path] = "none"

    def make(self) -> Method:
        """Build a new method."""
        if self.method is None:
            raise InputError(f"{type(self).__name__}: set `method` to a name, or override make().")
        return load_method(self.method, self._dataset_name(), **self.settings)

    def _dataset_name(self) -> str:
        return self.dataset or first_dataset()

    def _opened(self) -> AbstractContextManager[MethodSubject]:
        return method_subject(self.make, dataset=self._dataset_name(), weights=self.weights)


class DatasetContract(_Contract):
    """Tests of a dataset: ``class TestMine(DatasetContract): dataset = "mine"``.

    Class attributes:
        dataset: the name under which it is installed. Alternatively, override `open`.
        split: None for the default split.
        root: its folder; None for the default location.
    """

    dataset: ClassVar[str | None] = None
    split: ClassVar[str | None] = None
    root: ClassVar[str | Path | None] = None

    def open(self) -> Dataset:
        """Open the split; every call returns a new object."""
        if self.dataset is None:
            raise InputError(f"{type(self).__name__}: set `dataset` to a name, or override open().")
        return load_dataset(self.dataset, split=self.split, root=self.root)

    def _opened(self) -> AbstractContextManager[DatasetSubject]:
        return nullcontext(DatasetSubject(self.open, None if self.root is None else Path(self.root)))


def first_dataset() -> str:
    """The name of the first installed dataset; raises InputError without any."""
    names = list(installed("dataset"))
    if not names:
        raise InputError("no dataset is installed, so there are no keypoints to configure a method for.")
    return names[0]


def _add_tests(contract: type[_Contract], checks: Sequence[Check[Any]]) -> None:
    for check in checks:
        setattr(contract, f"test_{check.name}", _test_of(check))


_add_tests(MethodContract, METHOD_CHECKS)
_add_tests(DatasetContract, DATASET_CHECKS)
