"""A machine on which the queue of toy_queue.py is installed, and a profile that leads to it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import toy_queue
from coco_files import write

from crowdbench import plugins
from crowdbench.launch import Queue, load_launcher

TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class QueueMachine:
    """Where the toy queue is at home.

    Attributes:
        work: an empty folder to work in; runs go to ``runs/`` in it.
        queue: the queue's folder (see toy_queue.py).
        data: CrowdPose's folder, with three images.
        environment: in which `crowdbench` finds the queue as ``toys``, and the methods of toy_method.py.
    """

    work: Path
    queue: Path
    data: Path
    environment: dict[str, str]

    @property
    def runs(self) -> Path:
        """Where all runs lie."""
        return self.work / "runs"

    def crowdbench(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command of crowdbench, to its end; `more` is added to the environment."""
        with self.started(*arguments, **more) as process:
            output, errors = process.communicate(timeout=120)
        assert "Traceback" not in errors, errors
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def started(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        """A command of crowdbench that has begun."""
        return subprocess.Popen(
            [sys.executable, "-m", "crowdbench", *arguments],
            cwd=self.work,
            env={**self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def load(self, profile: str = "toys") -> Queue:
        """The queue, in this process."""
        found = load_launcher(profile)
        assert isinstance(found, Queue)
        return found


@pytest.fixture(scope="session")
def queue_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with a distribution that declares the launcher ``toy-queue``."""
    site = tmp_path_factory.mktemp("queue-site")
    info = site / "toy_queues-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-queues\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[crowdbench.launchers]\ntoy-queue = toy_queue:ToyQueue\n")
    shutil.copy(TESTS / "toy_queue.py", site)
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
