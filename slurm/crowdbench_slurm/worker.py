"""The entry point of a Slurm job's tasks: one process per GPU.

Only this class's name and the path of the job's folder are pickled. Slurm sends SIGUSR2 when the time limit
or a preemption is near, and SIGTERM when the job is cancelled or requeued. Either lets a training write a
checkpoint, and an evaluation its finished predictions.
"""

import logging
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from submitit import JobEnvironment
from submitit.helpers import Checkpointable

from crowdbench.errors import LaunchError
from crowdbench.jobs.launcher import Job, JobOutcome
from crowdbench.system.distributed import TORCHRUN
from crowdbench.system.job_environment import count_in
from crowdbench_slurm import slurm_cli

log = logging.getLogger("crowdbench")


class Task(Checkpointable):
    """Runs a job. Its progress is on disk, and nothing else has to be kept."""

    def __init__(self) -> None:
        super().__init__()

    def __call__(self, folder: str) -> str:
        """Run the job in a folder and return "done"; if it does not end well, exit instead."""
        _forget_torchrun()
        if "SLURM_CPUS_PER_TASK" in os.environ:
            # Where tasks are not bound to CPUs, each would start as many threads as the node has.
            os.environ.setdefault("OMP_NUM_THREADS", os.environ["SLURM_CPUS_PER_TASK"])
        from crowdbench.jobs.worker import CurrentJob, main

        environment, described = os.environ, JobEnvironment()
        facts = {
            name.lower().removeprefix("slurm_"): environment[name]
            for name in ("SLURM_JOB_PARTITION", "SLURM_CLUSTER_NAME", "SLURM_JOB_ACCOUNT", "SLURM_STEP_GPUS")
            if name in environment
        }
        this = CurrentJob(
            launcher="slurm",
            job=described.job_id,
            restart_count=count_in(environment, "SLURM_RESTART_COUNT", 0),
            # Several nodes may have the same host name.
            node=environment.get("SLURMD_NODENAME", described.hostname),
            nodes=tuple(described.hostnames),
            facts=facts,
        )
        status = main(Path(folder), this, (signal.SIGTERM, signal.SIGUSR2))
        if status == JobOutcome.DONE:
            return "done"
        if status == JobOutcome.RETRY or (status == JobOutcome.STOPPED and _must_requeue(Job(Path(folder)))):
            _requeue()
        _leave(JobOutcome.FAILED if status == JobOutcome.RETRY else status)


def _forget_torchrun() -> None:
    # Slurm sets each process's rank. Variables of torchrun come from the profile's `setup` or a node's shell,
    # and would give every task the same rank.
    for name in (*TORCHRUN, "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        if os.environ.pop(name, None) is not None:
            log.warning("%s is ignored: srun started this process", name)


def _must_requeue(job: Job) -> bool:
    """Whether a job that was asked to stop has to be requeued here, because Slurm does not do it."""
    ticket = job.ticket()
    if ticket is not None and ticket.cancelled is not None:
        return False
    state = slurm_cli.job_state(JobEnvironment().job_id)
    if not state:
        log.warning("squeue does not answer here; run the same command again to resume")
    # A job that was cancelled or preempted is no longer running for Slurm.
    return state == "RUNNING"


def _requeue() -> None:
    try:
        slurm_cli.requeue(JobEnvironment().job_id)
        log.info("requeued")
    except LaunchError as error:
        log.error("%s", error)


def _leave(status: int) -> NoReturn:
    """End this process now, before submitit writes anything."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
