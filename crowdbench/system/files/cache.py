"""The user's cache folder, which holds weights and generated datasets."""

import os
from pathlib import Path

from crowdbench.errors import MissingDataError

VARIABLE = "CROWDBENCH_CACHE"
_REMEDY = f"Set {VARIABLE} to a folder that can be written to."


def cache_folder() -> Path:
    """``$CROWDBENCH_CACHE``, or the user's cache folder; raises MissingDataError without a home folder."""
    import platformdirs

    try:
        chosen = os.environ.get(VARIABLE)
        found = Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("crowdbench")
    except RuntimeError as error:
        raise MissingDataError(f"{VARIABLE}={chosen}: there is no such home folder. {_REMEDY}") from error
    if chosen:
        return found.absolute()
    if not found.is_absolute():
        raise MissingDataError(f"the user has no home folder, and thus no cache. {_REMEDY}")
    return found
