"""The files of tests/compatibility/earlier, as a user has them who moved them and then upgraded crowdbench."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cluster import toy_queue
from support.cluster.queue_machine import TOY_QUEUES
from support.data.earlier_files import KEPT, Desk
from support.plugins import install_fake_distribution

LONG_AGO = 1_000_000_000.0  # no sign of life can be newer than a test


@pytest.fixture
def desk(toy_plugins: dict[str, str], tmp_path: Path) -> Iterator[Desk]:
    """The earlier files, where nobody has touched them for long, and the queue that its jobs were given to."""
    site, folder = tmp_path / "site", tmp_path / "work"
    install_fake_distribution(site, "toy-queues", TOY_QUEUES)
    shutil.copytree(KEPT, folder)
    (folder / "results").rename(folder / "runs")
    config = folder / "config" / "crowdbench"
    config.mkdir(parents=True)
    (folder / "profiles.toml").rename(config / "profiles.toml")
    for path in (config / "profiles.toml", *folder.glob("runs/jobs/*/*.json")):
        moved = re.sub(r'"/(runs|queue)\b', rf'"{folder}/\1', path.read_text())
        path.write_text(moved)
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (LONG_AGO, LONG_AGO))
    queue = folder / "queue"
    for number, status in {"1": "0", "2": "-9", "3": None}.items():
        (queue / number).mkdir(parents=True)
        if status is not None:
            (queue / number / "status").write_text(status)
    (queue / "held").touch()  # it takes jobs, and starts none
    environment = {
        **toy_plugins,
        "PYTHONPATH": os.pathsep.join((str(site), toy_plugins["PYTHONPATH"])),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "CROWDBENCH_CACHE": str(tmp_path / "cache"),
        "COLUMNS": "1000",
    }
    yield Desk(folder, environment)
    toy_queue.kill_all(queue)
