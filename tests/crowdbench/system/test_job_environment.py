"""What a job that is submitted from inside another one gets to know of it."""

import os

import pytest

from crowdbench.errors import SettingsError
from crowdbench.system.job_environment import count_in, outside_any_job


def test_nothing_of_the_surrounding_job_is_seen_and_all_of_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hidden = {
        **{
            "SLURM_JOB_ID": "7",
            "SLURM_ARRAY_TASK_ID": "3",
            "SLURM_MEM_PER_NODE": "1",
            "SBATCH_MEM_BIND": "no",
        },
        **{"SLURMD_NODENAME": "n1", "SRUN_DEBUG": "3", "SUBMITIT_EXECUTOR": "slurm", "WORLD_SIZE": "1"},
        **{"RANK": "0", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "a", "GROUP_RANK": "0", "PMI_RANK": "0"},
        **{"CROWDBENCH_JOB": "{}", "CUDA_VISIBLE_DEVICES": "3"},
    }
    kept = {"SLURM_CONF": "/etc/slurm.conf", "WANDB_API_KEY": "k", "GROUP_NAME": "us", "OMP_NUM_THREADS": "1"}
    for name, text in {**hidden, **kept}.items():
        monkeypatch.setenv(name, text)
    before = dict(os.environ)
    with outside_any_job():
        assert not hidden.keys() & os.environ.keys()
        assert kept.items() <= os.environ.items()
    assert dict(os.environ) == before


def test_what_a_user_chose_outside_any_job_stays_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    chosen = {"CUDA_VISIBLE_DEVICES": "1", "SBATCH_ACCOUNT": "mine"}
    for name, text in chosen.items():
        monkeypatch.setenv(name, text)
    with outside_any_job():
        assert chosen.items() <= os.environ.items()


@pytest.mark.parametrize("text", ["abc", "-3", "1_000", "١", "2.0", "9" * 30, "0x1", "\x1b[31m", "1 2"])
def test_what_is_no_number_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="LOCAL_WORLD_SIZE") as caught:
        count_in({"LOCAL_WORLD_SIZE": text}, "LOCAL_WORLD_SIZE", 1, least=1)
    assert "\x1b" not in str(caught.value)
