"""How the processes of a Slurm step find each other: the first one says in a file where it listens.

A port that is computed from the job's number may be taken, by another job or another program; a port that the
system has just handed out is not.
"""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crowdbench.errors import DataError, MachineError
from crowdbench.system.distributed import ProcessInfo, launch_id
from crowdbench.system.files.reading import read_json
from crowdbench.system.files.writing import write_whole

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

PATIENCE_S = 600.0
_TRY = timedelta(seconds=20)
_POLL_S = 0.2


class _Address(msgspec.Struct):
    host: str
    port: int


def rendezvous_store(folder: Path, place: ProcessInfo) -> "TCPStore":
    """The store through which processes find each other.

    Args:
        folder: all processes see it.
        place: of this process.

    Raises:
        MachineError: no process came in ten minutes, or the folder cannot be written to.
    """
    path = folder / f".meeting-{launch_id(os.environ)}.json"
    if place.is_main:
        return _listening(path, place)
    return _found(path, place)


def _listening(path: Path, place: ProcessInfo) -> "TCPStore":
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    host = os.environ.get("SLURMD_NODENAME", "localhost")
    store = TCPStore(
        host,
        0,
        place.world_size,
        is_master=True,
        wait_for_workers=False,
        timeout=timedelta(seconds=PATIENCE_S),
    )
    write_whole(path, msgspec.json.encode(_Address(host, store.port)))
    store.set("first", "here")
    deadline = time.monotonic() + PATIENCE_S
    while store.add("met", 0) < place.world_size - 1:
        if time.monotonic() > deadline:
            raise MachineError(
                f"{store.add('met', 0) + 1} of {place.world_size} processes reached {host}:{store.port}.\n"
                "See the logs of the others; nodes must reach each other, and share the folder of runs."
            )
        time.sleep(_POLL_S)
    path.unlink(missing_ok=True)
    return store


def _found(path: Path, place: ProcessInfo) -> "TCPStore":
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    deadline = time.monotonic() + PATIENCE_S
    problem = "the file did not appear"
    while time.monotonic() < deadline:
        try:
            address = read_json(path, _Address, "an address")
            store = TCPStore(
                address.host,
                address.port,
                place.world_size,
                is_master=False,
                wait_for_workers=False,
                timeout=_TRY,
            )
            store.get("first")
            store.add("met", 1)
            store.set_timeout(timedelta(seconds=PATIENCE_S))
            return store
        # It is not there yet, or is one that an earlier job of the same number left behind: look again.
        except (DataError, OSError, RuntimeError) as error:
            problem = str(error)
        time.sleep(_POLL_S)
    raise MachineError(
        f"{path}: process {place.rank} of {place.world_size} found nobody there ({problem}).\n"
        "All processes must see one folder of runs, and the first one's node."
    )
