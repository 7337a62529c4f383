"""What tests on the development cluster share."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cluster.login_node import PROFILES, Desk
from support.cluster.slurm_cluster import SCRIPT


@pytest.fixture(scope="session")
def desk(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A folder to give commands in, with a profile for this cluster."""
    folder = tmp_path_factory.mktemp("desk")
    profiles = folder / "config" / "crowdbench" / "profiles.toml"
    profiles.parent.mkdir(parents=True)
    profiles.write_text(PROFILES)
    environment = {
        **{name: value for name, value in cluster.items() if name != "CROWDBENCH_DATA"},
        "XDG_CONFIG_HOME": str(folder / "config"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    return Desk(folder, environment)


@pytest.fixture(scope="session")
def pid_file(cluster: dict[str, str]) -> Callable[[str], Path]:
    """The file with the number of a daemon's process, by the daemon's name."""
    folder = Path(cluster["SLURM_CONF"]).parent
    return lambda name: folder / "run" / f"{name}.pid"


@pytest.fixture(scope="session")
def cluster_up(cluster: dict[str, str]) -> Callable[[], None]:
    """Start the daemons that are not running."""
    folder = Path(cluster["SLURM_CONF"]).parent

    def start() -> None:
        done = subprocess.run(
            [str(SCRIPT), "up", "--dir", str(folder)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    return start
