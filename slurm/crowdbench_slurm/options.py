"""The options of a profile, and the allocation that follows from them."""

import re
import shlex
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from crowdbench.errors import SettingsError
from crowdbench.jobs.job import Resources

Positive = Annotated[int, msgspec.Meta(ge=1)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a profile may say; names as `sbatch` has them where it has them.

    Attributes:
        partition, account, qos, constraint, exclude: passed on.
        gpus: of a job, where ``--gpus`` is not given; 0 for none.
        gpus_per_node: how many a node has, and a job gets at most on one.
        nodes: of a job, where ``--nodes`` is not given.
        gpu_type: as in ``a100``, where a partition has several.
        request_gpus: how this cluster wants to be asked: ``"gpus-per-node"`` or ``"gres"``.
        cpus_per_gpu: CPUs of each task; a task has one GPU.
        memory: of each node, as in ``"200G"``.
        memory_per_gpu: instead.
        time: limit, as in ``"12:00:00"``, ``"2-00:00:00"`` or minutes.
        signal_s: how many seconds before the time limit a job is asked to save its state.
        setup: lines of shell that come before the job, as in ``module load cuda``.
        python: the interpreter on the nodes; this one's path if nothing is said.
        container: an image; the job runs in it.
        container_runtime: ``"apptainer"``, or ``"pyxis"`` (``srun --container-image``).
        container_options: for that runtime, as in ``["--bind", "/scratch"]``.
        device: as ``--device`` takes it; ``"cpu"`` for a partition without GPUs.
        sbatch: further parameters, by their long names; true for one without a value.
        srun: further arguments of ``srun``.
    """

    partition: Text | None = None
    account: Text | None = None
    qos: Text | None = None
    constraint: Text | None = None
    exclude: Text | None = None
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 1
    gpus_per_node: Positive = 8
    nodes: Positive | None = None
    gpu_type: Text | None = None
    request_gpus: Literal["gpus-per-node", "gres"] = "gpus-per-node"
    cpus_per_gpu: Positive = 8
    memory: Text | None = None
    memory_per_gpu: Text | None = None
    time: Text | Positive = "24:00:00"
    signal_s: Annotated[int, msgspec.Meta(ge=10)] = 120
    setup: tuple[str, ...] = ()
    python: Text | None = None
    container: Text | None = None
    container_runtime: Literal["apptainer", "pyxis"] = "apptainer"
    container_options: tuple[str, ...] = ()
    device: Text | None = None
    sbatch: dict[str, str | int | bool] = {}
    srun: tuple[str, ...] = ()

    @property
    def minutes(self) -> int:
        """The time limit."""
        return _minutes(self.time)

    @property
    def interpreter(self) -> str:
        """What starts Python on a node, as a piece of shell."""
        python = self.python or (sys.executable if self.container is None else "python3")
        quoted = shlex.quote(python)
        if self.container is None or self.container_runtime == "pyxis":
            return quoted
        words = ["apptainer", "exec", "--nv", *self.container_options, self.container]
        return f"{shlex.join(words)} {quoted}"

    @property
    def srun_arguments(self) -> list[str]:
        """One failed task ends the others, who would wait for it."""
        arguments = ["--kill-on-bad-exit=1", f"--cpus-per-task={self.cpus_per_gpu}", *self.srun]
        if self.container is not None and self.container_runtime == "pyxis":
            arguments += [f"--container-image={self.container}", *self.container_options]
        return arguments

    def resolved(self, asked: Resources) -> Resources:
        """GPUs and nodes of a job, both known; raises SettingsError if they do not go together."""
        gpus = self.gpus if asked.gpus is None else asked.gpus
        nodes = asked.nodes or self.nodes or max(1, -(-gpus // self.gpus_per_node))
        if gpus % nodes:
            raise SettingsError(
                f"{gpus} GPUs cannot be shared evenly among {nodes} nodes.\nAsk for a multiple: --gpus "
                f"{-(-gpus // nodes) * nodes}, or for other --nodes."
            )
        if gpus // nodes > self.gpus_per_node:
            raise SettingsError(
                f"{gpus} GPUs on {nodes} node{'s' if nodes > 1 else ''} are {gpus // nodes} on each; a node "
                f"has {self.gpus_per_node} (gpus_per_node in the profile).\nAsk for more --nodes."
            )
        return Resources(gpus, nodes)

    def parameters(self, resources: Resources) -> dict[str, Any]:
        """The parameters of submitit's executor, for jobs of such a size."""
        assert resources.gpus is not None
        assert resources.nodes is not None
        tasks = max(1, resources.gpus // resources.nodes)
        named = {"partition": self.partition, "account": self.account, "qos": self.qos}
        named |= {"constraint": self.constraint, "exclude": self.exclude, "mem": self.memory}
        extra: dict[str, Any] = {"requeue": True}
        if self.memory_per_gpu is not None:
            extra["mem-per-gpu"] = self.memory_per_gpu
        if resources.gpus:
            extra[self.request_gpus] = self._gpus_of_a_node(tasks)
        extra |= {name: value for name, value in named.items() if value is not None}
        return {
            "nodes": resources.nodes,
            "ntasks_per_node": tasks,
            "cpus_per_task": self.cpus_per_gpu,
            "time": self.minutes,
            "signal_delay_s": self.signal_s,
            "setup": list(self.setup) or None,
            "stderr_to_stdout": True,
            "srun_args": self.srun_arguments,
            "additional_parameters": {**extra, **self.sbatch},
        }

    def _gpus_of_a_node(self, count: int) -> str:
        kind = f"{self.gpu_type}:" if self.gpu_type else ""
        return f"gpu:{kind}{count}" if self.request_gpus == "gres" else f"{kind}{count}"


def read_options(profile: str, options: Mapping[str, Any]) -> Options:
    """The options of a profile; raises SettingsError if one is unknown or of the wrong type."""
    try:
        found = msgspec.convert(dict(options), Options)
        _ = found.minutes
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"profile {profile}: {error}.\nOptions: {', '.join(Options.__struct_fields__)}."
        ) from error
    if found.memory is not None and found.memory_per_gpu is not None:
        raise SettingsError(f"profile {profile}: memory and memory_per_gpu exclude each other.")
    return found


def _minutes(text: str | int) -> int:
    """Parse a time as `sbatch --time` does: minutes, m:s, h:m:s, days-hours[:minutes[:seconds]]."""
    if isinstance(text, int):
        return text
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if found is None:
        raise SettingsError(f"time = {text!r} is not a time limit; write 90, 12:00:00 or 2-00:00:00.")
    days, first, second, third = (int(part) if part else None for part in found.groups())
    if days is not None or third is not None:
        hours, minutes, seconds = first, second, third
    else:
        hours, minutes, seconds = 0, first, second
    total = ((days or 0) * 24 + (hours or 0)) * 3600 + (minutes or 0) * 60 + (seconds or 0)
    if total == 0:
        # Slurm would take it for no limit at all.
        raise SettingsError(f"time = {text!r} leaves no time; write 90, 12:00:00 or 2-00:00:00.")
    return -(-total // 60)
