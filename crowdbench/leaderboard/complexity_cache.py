"""Parameters and operations of a run's network, stored with the run.

Counting takes a forward pass, which is too slow for a table: ``complexity.json`` is written once, on request,
and read from then on.
"""

import logging
from functools import cache
from typing import Literal

import msgspec

from crowdbench.errors import CrowdbenchError, DataError, MachineError
from crowdbench.run_store.run import Run
from crowdbench.system.files.reading import read_json
from crowdbench.system.files.writing import write_whole
from crowdbench.system.text import first_line, plain

log = logging.getLogger("crowdbench")
FILE = "complexity.json"


class StoredComplexity(msgspec.Struct, frozen=True):
    """The stored part of `crowdbench.engine.complexity.Complexity`.

    Attributes:
        parameters: the number of parameters.
        flops: operations of one forward pass without flip test, 2 per multiply-add.
        per: the unit of a pass.
    """

    parameters: int
    flops: int
    per: Literal["person", "image"]


def stored_complexity(run: Run, *, compute: bool = False) -> StoredComplexity | None:
    """The complexity of a run's network.

    Args:
        run: the run.
        compute: count and store the complexity if it is not stored.

    Returns:
        None if it is not stored, the method has no network, or the method cannot be loaded here.
    """
    path = run.directory / FILE
    if path.exists():
        try:
            return read_json(path, StoredComplexity, "what a network costs")
        except DataError as error:
            log.warning("%s", plain(f"ignored: {error}"))
    if not compute:
        return None
    record = run.record
    try:
        found = _counted(
            record.method,
            record.protocol.made_for or record.protocol.dataset,
            msgspec.json.encode(record.settings),
        )
    except CrowdbenchError as error:
        log.warning(
            "%s",
            plain(
                f"{run.directory}: the complexity of its network cannot be counted here: {first_line(error)}"
            ),
        )
        return None
    if found is not None:
        try:
            write_whole(path, msgspec.json.encode(found) + b"\n")
        except MachineError as error:
            log.warning("%s", plain(f"not stored: {error}"))
    return found


@cache
def _counted(method: str, dataset: str, settings: bytes) -> StoredComplexity | None:
    """Count once for all runs of one network."""
    from crowdbench.api.load_method import load_method
    from crowdbench.api.method import NetworkMethod
    from crowdbench.engine.complexity import complexity

    loaded = load_method(method, dataset, **msgspec.json.decode(settings))
    if not isinstance(loaded, NetworkMethod):
        return None
    found = complexity(loaded)
    return StoredComplexity(found.parameters, found.flops, found.per)
