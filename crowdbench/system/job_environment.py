"""The environment without variables that describe this process's job or process group.

A job submitted from inside another one, or from a shell with left-over variables of torchrun, must not see
them: Slurm passes the environment of `sbatch` on to the job, array numbers included, and takes many variables
for options.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from crowdbench.errors import SettingsError
from crowdbench.system.job_context import VARIABLE

# How Slurm's programs reach their controller, and as whom: the same for every job.
_KEPT = frozenset({"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"})
_PREFIXES = (
    *("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_"),
    *("TORCHELASTIC_", "PMI_", "PMIX_", "PMI2_", "OMPI_COMM_WORLD_"),
)
# torchrun's.
_NAMES = frozenset(
    {
        *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
        *("GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE", "ROLE_NAME"),
        VARIABLE,
    }
)
# Options of `sbatch` and the GPUs of the surrounding job. Outside a job they are the user's own choice.
_OPTIONS = ("SBATCH_", "SALLOC_")
_DEVICES = frozenset(
    {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ZE_AFFINITY_MASK"}
)


def belongs_to_a_job(name: str, environment: Mapping[str, str]) -> bool:
    """Whether a variable tells which job, step or process of a group this is."""
    if name in _KEPT:
        return False
    if name in _DEVICES or name.startswith(_OPTIONS):
        return "SLURM_JOB_ID" in environment
    return name in _NAMES or name.startswith(_PREFIXES)


@contextmanager
def outside_any_job() -> Iterator[None]:
    """Within it, this process and those that it starts see none of the variables of a surrounding job."""
    before = dict(os.environ)
    for name in before:
        if belongs_to_a_job(name, before):
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.update({name: text for name, text in before.items() if name not in os.environ})


_LARGEST = 10_000_000  # no launcher counts so many processes, CPUs or starts


def count_in(environment: Mapping[str, str], name: str, default: int | None = None, *, least: int = 0) -> int:
    """The whole number that a variable holds.

    Args:
        environment: as `os.environ`.
        name: of the variable.
        default: where the variable is missing or empty.
        least: the smallest number that makes sense.

    Raises:
        SettingsError: it is missing and has no default, or holds something else; names the variable.
    """
    text = environment.get(name, "").strip()
    if not text and default is not None:
        return default
    if re.fullmatch(r"\d{1,8}", text, re.ASCII) and least <= int(text) <= _LARGEST:
        return int(text)
    held = f"is {text!r}" if text else "is not set"
    raise SettingsError(
        f"the environment variable {name} {held}; a launcher sets it to a whole number"
        f"{f' of at least {least}' if least else ''}.\n"
        f"Start with torchrun or srun, or `unset {name}` to compute in one process."
    )
