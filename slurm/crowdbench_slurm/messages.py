"""Explanations of Slurm's messages, and remedies."""

from crowdbench.jobs.launcher import QueueStatus
from crowdbench_slurm.slurm_cli import Line, partitions

_WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "SUSPENDED", "STOPPED"}
_RUNNING = {"RUNNING", "CONFIGURING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT"}

# Reasons for which a job waits for ever, unless it or the cluster is changed.
HOPELESS = {
    "PartitionTimeLimit": "the time limit is longer than the partition allows; set a shorter `time`",
    "PartitionConfig": "beyond what the partition allows; see `scontrol show partition`",
    "PartitionNodeLimit": "more nodes than the partition gives to one job; ask for fewer --nodes",
    "AssocMaxJobsLimit": "the account may not run any job; ask its owner, or set another `account`",
    "AssocGrpGRES": "more GPUs than the account may have; ask for fewer --gpus",
    "QOSMaxGRESPerJob": "more GPUs than the quality of service allows a job; ask for fewer --gpus",
    "QOSMaxNodePerJobLimit": "more nodes than the quality of service allows a job; ask for fewer --nodes",
    "QOSMaxWallDurationPerJobLimit": "a longer time than the quality of service allows; set a shorter `time`",
    "AssocMaxWallDurationPerJobLimit": "a longer time than the account allows; set a shorter `time`",
    "AccountNotAllowed": "the partition does not serve this account; set another `account` or `partition`",
    "QOSNotAllowed": "the partition does not serve this `qos`; set another",
    "InvalidAccount": "no such account; set `account` to one that `sacctmgr show assoc user=$USER` lists",
    "InvalidQOS": "no such quality of service; set another `qos`",
    "BadConstraints": "no node has the features in `constraint`",
    "DependencyNeverSatisfied": "it depends on a job that failed",
}
_UNCLEAR = {"None", "PartitionConfig"}  # what Slurm says before it has had a closer look
_PATIENT = {
    "Resources": "next in line; nothing is free",
    "Priority": "others come first",
    "BeginTime": "was requeued; starts again in a moment",
    "JobArrayTaskLimit": "as many of the sweep run as may at the same time",
    "ReqNodeNotAvail": "nodes it needs are down or reserved",
    "NodeDown": "its node is down",
    "PartitionDown": "the partition is closed",
    "QOSMaxJobsPerUserLimit": "as many jobs run as you may have",
    "AssocGrpGRESMinutes": "the account's GPU time is used up",
    "JobHeldUser": "held; `scontrol release` lets it go",
    "JobHeldAdmin": "held by an administrator",
    "None": "just arrived",
}
_SOME_LIMIT = (
    "The account, the partition or the quality of service has a limit that the job exceeds: of jobs, GPUs, "
    "nodes or time. `sacctmgr show qos,assoc` lists them. Ask for less, or set another {}."
)
DISK_IS_FULL = "the disk, or the quota, is full; free space, then run the same command again to resume"
TOO_LATE = "the time limit came before it could write down where it is; set a longer `time` or `signal_s`"
_ENDED = {
    "CANCELLED": "cancelled",
    "TIMEOUT": TOO_LATE,
    "OUT_OF_MEMORY": "the node's memory ran out; raise `memory`, or lower --workers or --batch-size",
    "NODE_FAIL": "the node failed",
    "PREEMPTED": "another job took its place, and the cluster does not start it again",
    "BOOT_FAIL": "the node did not start",
    "DEADLINE": "the deadline passed",
    "FAILED": "it failed",
    "COMPLETED": "it ended",
}


def seen(line: Line) -> QueueStatus:
    """What a line of `squeue` says, in the harness's terms."""
    reason = line.reason.strip("()")
    name = reason.split(",", maxsplit=1)[0].strip()
    if line.state in _WAITING:
        meaning = HOPELESS.get(name) or _PATIENT.get(name)
        words = name if meaning is None else f"{name}: {meaning}"
        return QueueStatus("waiting", "", words, name in HOPELESS, is_pending_decision=name in _UNCLEAR)
    if line.state in _RUNNING:
        return QueueStatus("running", line.nodes)
    meaning = _ENDED.get(line.state.split(" ", maxsplit=1)[0], line.state.lower())
    return QueueStatus("ended", line.nodes, meaning, status=line.status)


def refusal(message: str, profile: str) -> str:
    """What `sbatch` said, and what it means."""
    lines = [line for line in message.strip().splitlines() if "sbatch: error" in line]
    said = "; ".join(line.removeprefix("sbatch: error: ") for line in lines) or message.strip()
    low = said.lower()
    where = f"in the profile {profile}"
    if "violates" in low:
        limit = next((meaning for name, meaning in HOPELESS.items() if name in said), None)
        hint = f"It asks for {limit} {where}." if limit else _SOME_LIMIT.format(where)
    elif "invalid partition" in low:
        known = ", ".join(partitions()) or "ask `sinfo`"
        hint = f"There are: {known}. Set `partition` {where}."
    elif "time limit" in low:
        hint = f"Set a shorter `time` {where}; `sinfo -o '%P %l'` shows what partitions allow."
    elif "account" in low:
        hint = f"Set `account` {where} to one that `sacctmgr show assoc user=$USER` lists."
    elif "qos" in low:
        hint = f"Set another `qos` {where}."
    elif "feature" in low:
        hint = f"No node has what `constraint` asks for {where}."
    elif "configuration is not available" in low or "gres" in low:
        hint = (
            "No node, or not so many nodes, have as many GPUs, processors or as much memory as asked for: "
            f"--gpus, --nodes, and `gpus_per_node`, `cpus_per_gpu`, `memory`, `gpu_type` {where}."
        )
    elif "unable to contact" in low or "connect" in low:
        hint = "The cluster's controller does not answer; try again later."
    else:
        hint = f"See `sbatch` {where}, and docs/slurm.md."
    return f"Slurm does not take the job: {said}\n{hint}"
