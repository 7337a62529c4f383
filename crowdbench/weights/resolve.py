"""Resolve the value of ``--weights`` to a file."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from crowdbench.errors import MissingDataError, UnknownNameError, WeightsError
from crowdbench.system.files.digests import file_digest
from crowdbench.system.text import plain
from crowdbench.weights.cache import Wanted
from crowdbench.weights.checkpoint_file.formats import open_regular
from crowdbench.weights.checkpoint_file.safetensors_header import read_facts
from crowdbench.weights.fetch import OnProgress, fetch
from crowdbench.weights.table import WeightsEntry, read_tables, weights_table

NONE = "none"
PUBLISHED = "published"


@dataclass(frozen=True)
class ResolvedWeights:
    """A verified file of weights, or none.

    Attributes:
        source: for the record: an entry's name, a URL, a path as given, or ``"none"``.
        path: of the file; None for none.
        sha256: of the file; None for none.
        training_data: ``"none"`` for none, None if unknown.
    """

    source: str
    path: Path | None
    sha256: str | None
    training_data: str | None


def resolve_weights(
    asked: str | Path,
    *,
    method: str,
    dataset: str,
    input_size: tuple[int, int] | None = None,
    whole: bool = True,
    on_progress: OnProgress | None = None,
) -> ResolvedWeights:
    """Turn what a user asked for into a verified file, fetching it if need be.

    Args:
        asked: ``"published"``, ``"none"``, the name of an entry, a URL, or a file. A `Path` is always a file.
        method, dataset, input_size: for which ``"published"`` must be; the size is (height, width), None for
            methods that have none.
        whole: refuse trunks, which are for training.
        on_progress: called with the progress of a transfer.

    Raises:
        WeightsError: nothing is published for this; or the file is not what it was.
        MissingDataError: the file is not here and cannot be fetched.
    """
    if asked == NONE:
        return ResolvedWeights(NONE, None, None, "none")
    if asked == PUBLISHED:
        entry = _published(method, dataset, input_size)
    elif isinstance(asked, Path):
        return _of_file(asked)
    else:
        found = find_wanted(asked)
        if found is None:
            return _of_file(Path(asked))
        if isinstance(found, Wanted):
            return ResolvedWeights(found.name, found.path, fetch(found, on_progress), None)
        entry = found
    if whole and not entry.is_whole:
        raise WeightsError(
            f"{entry.name} is a trunk that training starts from, not a whole network; it cannot be evaluated."
        )
    wanted = Wanted.of_entry(entry)
    return ResolvedWeights(entry.name, wanted.path, fetch(wanted, on_progress), entry.training_data)


def find_wanted(asked: str) -> WeightsEntry | Wanted | None:
    """The table's entry of this name, or the file of a URL, else None; WeightsError for unusable URLs."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", asked):
        return Wanted.of_url(asked)
    return weights_table().get(asked)


def _of_file(path: Path) -> ResolvedWeights:
    try:
        exists = os.path.lexists(path)
    except ValueError:  # a null byte
        exists = True
    if exists:
        open_regular(path).close()
        training_data = read_facts(path).get("training_data")
        known = training_data if isinstance(training_data, str) else None
        return ResolvedWeights(str(path), path, file_digest(path), known)
    if not path.suffix and not path.is_absolute():
        # It looks like a name.
        read_tables().require_answer(str(path))
        try:
            raise UnknownNameError("file or published weights", str(path), weights_table())
        except UnknownNameError as error:
            raise MissingDataError(f"{error}\nPass --weights FILE, or --weights none.") from None
    raise MissingDataError(
        f"{plain(str(path))}: no such weights file. Pass --weights FILE, the name of published weights "
        "(`crowdbench weights list`), or --weights none."
    )


def _published(method: str, dataset: str, input_size: tuple[int, int] | None) -> WeightsEntry:
    own = [entry for entry in weights_table().values() if entry.method == method and entry.is_whole]
    here = [entry for entry in own if entry.dataset == dataset]
    fitting = [entry for entry in here if input_size is None or entry.input_size in (None, input_size)]
    if len(fitting) == 1:
        return fitting[0]
    read_tables().require_answer("published", method)
    if here:
        size = "" if input_size is None else f" with an input of {_shown(input_size)} (height x width)"
        problem = f"{len(fitting) or 'no'} weights are published for {method} on {dataset}{size}."
    else:
        problem = f"no weights are published for {method} on {dataset}."
    listing = ", ".join(f"{e.name} ({_shown(e.input_size)})" if e.input_size else e.name for e in here or own)
    raise WeightsError(
        f"{problem}\nPublished for {method}: {listing or 'nothing'}.\n"
        "Pass --weights NAME to take one of those (their network must fit), --weights FILE, or --weights "
        "none for random ones, which tell whether everything runs and nothing about the method."
    )


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
