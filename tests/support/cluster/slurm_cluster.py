"""A real Slurm for tests and benchmarks: two nodes, pretend GPUs, two partitions."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.requirements import everything_is_required

SCRIPT = Path(__file__).resolve().parents[3] / "slurm" / "dev-cluster"


@pytest.fixture(scope="session")
def slurm_programs() -> None:
    """Skips where there is no Slurm; fails where there has to be one."""
    found = shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found and os.geteuid() == 0:
        return
    reason = "needs Slurm and root: `slurm/dev-cluster install` as root fetches the packages"
    if everything_is_required():
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster(slurm_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which Slurm's programs talk to a cluster that is up."""
    # Sockets lie in it, and their paths are short.
    folder = Path(f"/tmp/crowdbench-slurm-{os.getpid()}")
    command = [str(SCRIPT), "up", "--dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    try:
        yield {**os.environ, "SLURM_CONF": done.stdout.strip().partition("=")[2]}
    finally:
        subprocess.run([str(SCRIPT), "down", "--dir", str(folder)], check=True)
        shutil.rmtree(folder)
