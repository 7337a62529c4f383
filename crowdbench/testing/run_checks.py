"""Run all checks of a method or a dataset, without pytest."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from crowdbench.api.dataset import Dataset
from crowdbench.api.method import Method, NetworkMethod
from crowdbench.errors import SettingsError
from crowdbench.testing.annotated import LIMIT, AnnotatedSubject
from crowdbench.testing.annotated_checks import ANNOTATED_CHECKS, unseen
from crowdbench.testing.dataset_checks import DATASET_CHECKS, DatasetSubject
from crowdbench.testing.method_checks import METHOD_CHECKS
from crowdbench.testing.outcome import CheckResult, carry_out_all
from crowdbench.testing.subject import MethodSubject
from crowdbench.weights import resolve_weights


@contextmanager
def method_subject(
    make: Callable[[], Method], *, dataset: str, weights: str | Path = "none"
) -> Iterator[MethodSubject]:
    """A method to be checked; its images are deleted at the end.

    Args:
        make: builds it anew, every time it is called.
        dataset: the name of the dataset that it is configured for.
        weights: as ``--weights``; ``"none"`` draws a network's weights at random.

    Raises:
        InputError: no such weights, or the method cannot be made.
    """
    method = make()
    if method.takes_weights and weights == "none" and not isinstance(method, NetworkMethod):
        raise SettingsError(f"{method.name} does nothing without its file; name one with --weights FILE.")
    path = None
    if method.takes_weights:
        size = getattr(method.settings, "input_size", None)
        path = resolve_weights(
            weights,
            method=method.name,
            dataset=dataset,
            input_size=size if isinstance(size, tuple) else None,
        ).path
    with tempfile.TemporaryDirectory(prefix="crowdbench-check-") as folder:
        yield MethodSubject(make, weights=path, folder=Path(folder), dataset=dataset)


def check_method(
    make: Callable[[], Method],
    *,
    dataset: str,
    weights: str | Path = "none",
    only: str | None = None,
    annotated: Dataset | None = None,
    limit: int = LIMIT,
) -> Iterator[CheckResult]:
    """Check a method, one finding after the other; the arguments are those of `method_subject`.

    Args:
        only: the name of a single check.
        annotated: an opened split, with ground-truth boxes, whose annotations poses are compared with; None
            leaves those checks out, and says so.
        limit: how many of its images are looked at.

    Raises:
        InputError: the split has other keypoints than the method, or no annotations.
    """
    with method_subject(make, dataset=dataset, weights=weights) as subject:
        beside = None if annotated is None else AnnotatedSubject(subject, annotated, limit)
        yield from carry_out_all(METHOD_CHECKS, subject, only)
        if beside is not None:
            yield from carry_out_all(ANNOTATED_CHECKS, beside, only)
        else:
            yield from unseen(only)


def check_dataset(
    open: Callable[[], Dataset],
    *,
    root: Path | None = None,
    only: str | None = None,
) -> Iterator[CheckResult]:
    """Check a dataset, one finding after the other.

    Args:
        open: opens it anew, every time it is called.
        root: its folder, where its other splits are looked for.
        only: the name of a single check.
    """
    return carry_out_all(DATASET_CHECKS, DatasetSubject(open, root), only)
