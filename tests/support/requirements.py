"""Whether a test that lacks what it needs (reference data, a browser, Slurm, an engine) fails or is skipped."""

import os
from collections.abc import Mapping


def everything_is_required(environment: Mapping[str, str] = os.environ) -> bool:
    """True with CROWDBENCH_REQUIRE_REFERENCE=1, as `.ci/run` sets it, and in any CI but GitHub's.

    GitHub sets CI always, and has neither the reference data nor Slurm.
    """
    if environment.get("CROWDBENCH_REQUIRE_REFERENCE", "0") not in ("", "0"):
        return True
    return bool(environment.get("CI")) and not environment.get("GITHUB_ACTIONS")
