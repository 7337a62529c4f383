"""The section "Jobs and machines" of docs/bad-input.md."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bad_input_cases import Cases, Make
from support.data import coco_files
from support.methods.faulty_plugins import NETWORK, install, with_hook

from crowdbench import plugins

case = Cases("Jobs and machines")

# What stands in the environment of each case.
ENVIRONMENTS = {
    "rank-is-a-word": {"WORLD_SIZE": "2", "RANK": "abc", "LOCAL_RANK": "0"},
    "world-size-below-zero": {"WORLD_SIZE": "-3", "RANK": "0", "LOCAL_RANK": "0"},
    "local-rank-beyond-the-world": {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "7"},
    "world-size-alone": {"WORLD_SIZE": "2"},
    "world-size-empty": {"WORLD_SIZE": "", "RANK": "0", "LOCAL_RANK": "0"},
    "step-of-no-number": {"SLURM_STEP_NUM_TASKS": "two"},
    "step-of-zero-tasks": {"SLURM_STEP_NUM_TASKS": "0"},
    "step-without-a-task-number": {"SLURM_STEP_NUM_TASKS": "2"},
    "one-process-in-a-step-of-two": {
        **{"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"},
        **{"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1"},
    },
    "processors-of-no-number": {
        **{"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
        "SLURM_CPUS_PER_TASK": "many",
    },
    "no-process-on-this-machine": {
        **{"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"},
        "LOCAL_WORLD_SIZE": "0",
    },
    "escapes-in-a-variable": {"WORLD_SIZE": "\x1b[2J", "RANK": "0", "LOCAL_RANK": "0"},
    "job-that-is-no-json": {"CROWDBENCH_JOB": "{launcher: slurm"},
    "job-without-a-launcher": {"CROWDBENCH_JOB": "{}"},
    "left-over-world-of-one": {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": "abc"},
    "left-over-array-task": {"SLURM_ARRAY_TASK_ID": "x", "SLURM_PROCID": "y", "SLURM_CPUS_PER_TASK": "z"},
}


def _run(folder: Path) -> list[str]:
    coco_files.write(folder / "data", "json/crowdpose_test.json")
    settings = ["--weights", "none", "--limit", "1", "--workers", "0"]
    return ["run", "hrnet-tiny", "crowdpose", "--root", "data", *settings]


def _run_with_default_workers(folder: Path) -> list[str]:
    return _run(folder)[:-2]


for _name in ENVIRONMENTS:
    case(_name)(
        _run_with_default_workers
        if _name in ("processors-of-no-number", "no-process-on-this-machine")
        else _run
    )


# What loader processes do, by the name of the case.
LOADERS = {
    "loader-killed": "def prepare(self, sample, rng=None):\n    import os\n    os.kill(os.getpid(), 9)",
    "loader-crashed": "def prepare(self, sample, rng=None):\n    import os\n    os.kill(os.getpid(), 11)",
    "loader-without-shared-memory": "def prepare(self, sample, rng=None):\n    import os\n    os.kill(os.getpid(), 7)",
    "loader-told-that-shared-memory-is-full": (
        "class Full:\n    def __reduce__(self):\n"
        "        raise OSError(28, 'No space left on device')\n"
        "def collate(self, examples):\n    return self.Full()"
    ),
    "loader-with-a-batch-that-cannot-be-sent": "def collate(self, examples):\n    return lambda: examples",
}


def _with_loaders(name: str) -> Make:
    def make(folder: Path) -> list[str]:
        module = name.replace("-", "_")
        install(folder, module, with_hook(NETWORK, LOADERS[name]), name=name)
        coco_files.write(folder / "data", "json/crowdpose_test.json")
        return ["run", name, "crowdpose", "--root", "data", "--weights", "none", "--workers", "1"]

    return make


for _name in LOADERS:
    case(_name)(_with_loaders(_name))


@pytest.fixture(autouse=True)
def forget_plugins() -> Iterator[None]:
    """Other tests do not see what is installed here."""
    yield
    plugins.installed.cache_clear()


def test_every_row_has_a_case() -> None:
    case.check_complete()


@pytest.mark.parametrize("name", case.makers)
def test_the_command_says_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, text in ENVIRONMENTS.get(name, {}).items():
        monkeypatch.setenv(variable, text)
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.installed.cache_clear()
    assert "\x1b" not in case.check(name, tmp_path, monkeypatch, capsys)
