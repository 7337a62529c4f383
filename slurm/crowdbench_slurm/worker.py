"""What runs in a job's tasks: one process a GPU.

All that is pickled is this class, by its name, and the path of the job's folder. Slurm says with SIGUSR2
that the time is nearly over, or that another job takes the place; with SIGTERM that the job is cancelled, or
taken back into the queue. Either lets a training write down where it is, and an evaluation what is finished.
"""

import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from submitit import JobEnvironment
from submitit.helpers import Checkpointable

from crowdbench.errors import CrowdbenchError, LaunchError
from crowdbench.jobs.job import Job
from crowdbench.system.distributed import TORCHRUN, from_environment
from crowdbench.system.job_context import CurrentJob, export
from crowdbench.system.job_environment import count_in
from crowdbench.system.log_file import LINES, PlainFormatter
from crowdbench.system.stop_signal import EXIT_STOPPED, StopSignal
from crowdbench_slurm.exit_codes import BUSY, DISK_FULL, FAILED

log = logging.getLogger("crowdbench")

_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


class Task(Checkpointable):
    """Carries out a job; what it was doing is on disk, and nothing else has to be kept."""

    def __init__(self) -> None:
        super().__init__()

    def __call__(self, folder: str) -> str:
        """Carry out the job in a folder.

        Returns:
            How it ended; if it did not end well, this process ends instead.
        """
        _speak_up()
        _forget_torchrun()
        _use_own_processors()
        job = Job(Path(folder))
        export(_this_job(job))
        return _carry_out(job)


def _speak_up() -> None:
    """All that crowdbench says goes into the task's log."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(PlainFormatter(LINES))
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def _forget_torchrun() -> None:
    # Slurm started this process, and says which it is. Variables of torchrun come from the profile's `setup`
    # or a node's shell, and would make every task the same one.
    for name in (*TORCHRUN, "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        if os.environ.pop(name, None) is not None:
            log.warning("%s is ignored: srun started this process", name)


def _use_own_processors() -> None:
    # Where tasks are not bound to processors, each would begin as many threads as the node has.
    if "SLURM_CPUS_PER_TASK" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", os.environ["SLURM_CPUS_PER_TASK"])


def _this_job(job: Job) -> CurrentJob:
    environment = os.environ
    described = JobEnvironment()
    facts = {
        name.lower().removeprefix("slurm_"): environment[name]
        for name in ("SLURM_JOB_PARTITION", "SLURM_CLUSTER_NAME", "SLURM_JOB_ACCOUNT", "SLURM_STEP_GPUS")
        if name in environment
    }
    return CurrentJob(
        launcher="slurm",
        job=described.job_id,
        restart_count=count_in(environment, "SLURM_RESTART_COUNT", 0),
        # Several nodes may have one host name.
        node=environment.get("SLURMD_NODENAME", described.hostname),
        nodes=tuple(described.hostnames),
        gpus=_gpus(job),
        facts=facts,
    )


def _gpus(job: Job) -> int:
    with suppress(CrowdbenchError):  # said when the job is carried out
        return job.order().resources.gpus or 0
    return 0


def _carry_out(job: Job) -> str:
    from crowdbench.jobs.request import EvaluationRequest
    from crowdbench.jobs.worker import JobOutcome, is_full_disk, run_job

    try:
        # A training stops after the step it is at; an evaluation has nothing to finish.
        stop = StopSignal(at_once=isinstance(job.request(), EvaluationRequest))
        with stop.listening(_SIGNALS):
            outcome = run_job(job, stop)
    except KeyboardInterrupt:
        outcome = JobOutcome.STOPPED  # before anything had begun
    except CrowdbenchError as error:
        log.error("%s", error)
        _leave(DISK_FULL if is_full_disk(error) else FAILED)
    except Exception as error:
        # Not even the state can be written; the exit status says what the log may not.
        log.error("%s: %s", job.folder, error, exc_info=None if isinstance(error, OSError) else error)
        _leave(DISK_FULL if is_full_disk(error) else FAILED)
    if outcome is JobOutcome.DONE:
        return str(outcome.value)
    if stop.lost or outcome is JobOutcome.SUPERSEDED:
        log.warning("another process has this job; nothing more is written here")
        _leave(BUSY)
    if not from_environment(os.environ).is_main:
        # To leave with an error would end the first task, which may be writing.
        _leave(FAILED if outcome is JobOutcome.FAILED else 0)
    if outcome is JobOutcome.RETRY or (outcome is JobOutcome.STOPPED and _is_wanted(job)):
        _queue_again()
    _leave(FAILED if outcome in (JobOutcome.FAILED, JobOutcome.RETRY) else EXIT_STOPPED)


def _is_wanted(job: Job) -> bool:
    """Whether a job that was asked to stop must be requeued because Slurm does not do it."""
    ticket = job.ticket()
    if ticket is not None and ticket.cancelled is not None:
        return False
    from crowdbench_slurm import slurm_cli as commands

    state = commands.job_state(JobEnvironment().job_id)
    if not state:
        log.warning("squeue does not answer here: to go on, give the same command again")
    # One that was cancelled, or pushed out, is not running any more in Slurm's eyes.
    return state == "RUNNING"


def _queue_again() -> None:
    from crowdbench_slurm import slurm_cli as commands

    try:
        commands.requeue(JobEnvironment().job_id)
        log.info("taken back into the queue")
    except LaunchError as error:
        log.error("%s", error)


def _leave(status: int) -> NoReturn:
    """End this process now: nothing that submitit would write after an exception is of use."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
