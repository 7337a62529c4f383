"""A machine on which the queue of support.cluster.toy_queue is installed, and a profile that names it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cluster import toy_queue
from support.cluster.queue_machine import TOY_QUEUES, Bookkeeper, MakeJob, QueueMachine
from support.data.coco_files import write
from support.plugins import install_fake_distribution

from crowdbench import plugins


@pytest.fixture(scope="session")
def queue_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages: a distribution with the launcher ``toy-queue`` and the method ``toy-failing``."""
    site = tmp_path_factory.mktemp("queue-site")
    install_fake_distribution(site, "toy-queues", TOY_QUEUES)
    return site


@pytest.fixture
def toys(
    tmp_path: Path, toy_plugins: dict[str, str], queue_site: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[QueueMachine]:
    """A machine with the toy queue; this process is on it too, in its folder."""
    work, queue, config = (tmp_path / name for name in ("work", "queue", "config"))
    for folder in (work, queue, config / "crowdbench"):
        folder.mkdir(parents=True)
    (config / "crowdbench" / "profiles.toml").write_text(
        f'[profile.toys]\nlauncher = "toy-queue"\nfolder = "{queue}"\n'
        f'[profile.pairs]\nlauncher = "toy-queue"\nfolder = "{queue}"\ngpus = 2\n'
        f'[profile.processors]\nlauncher = "toy-queue"\nfolder = "{queue}"\ndevice = "cpu"\n'
        '[profile.nowhere]\nlauncher = "toy-queue"\n'
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(queue_site), toy_plugins["PYTHONPATH"])))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "250")
    for path in reversed(os.environ["PYTHONPATH"].split(os.pathsep)):
        monkeypatch.syspath_prepend(path)
    monkeypatch.chdir(work)
    plugins.installed.cache_clear()
    data = write(tmp_path / "crowdpose", "json/crowdpose_test.json")
    yield QueueMachine(work, queue, data, dict(os.environ))
    toy_queue.kill_all(queue)
    plugins.installed.cache_clear()


@pytest.fixture
def make_job(toys: QueueMachine) -> MakeJob:
    """Writes a job down, and what the queue knows of it."""
    return Bookkeeper(toys).make
