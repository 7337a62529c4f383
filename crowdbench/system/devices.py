"""Choose a process's device, and query its capabilities."""

import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from crowdbench.errors import MachineError, SettingsError
from crowdbench.system.distributed import ProcessInfo
from crowdbench.system.job_context import current_job

if TYPE_CHECKING:
    import torch


def pick_device(name: str) -> "torch.device":
    """The device to compute on.

    Args:
        name: ``"auto"`` (the first GPU, else the CPU), or anything PyTorch understands.

    Raises:
        SettingsError: no such device here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise SettingsError(f"no device is called {name!r}; try auto, cpu, cuda or cuda:1.") from error
    if device.type == "meta":
        raise SettingsError(f"device {name!r} computes nothing; try auto, cpu, cuda or cuda:1.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            f"device {name!r}: PyTorch sees no GPU on this machine. Pass --device cpu or auto."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"device {name!r}: PyTorch sees {torch.cuda.device_count()} GPUs on this machine, counted from 0."
        )
    if device.type == "cpu":
        return torch.device("cpu")  # it has no number
    try:
        torch.empty(1, device=device)
    except Exception as error:  # each kind of device has its own
        raise SettingsError(
            f"device {name!r}: PyTorch {torch.__version__} has none here; try auto, cpu, cuda or cuda:1."
        ) from error
    return device


def emulates(precision: str, device: "torch.device") -> bool:
    """Whether this device has no units for a precision (``"bf16"``, ``"fp16"``), and is slow with it."""
    import torch

    if device.type != "cpu" or precision == "fp32":
        return False
    units = {"bf16": "_is_mkldnn_bf16_supported", "fp16": "_is_mkldnn_fp16_supported"}
    return not getattr(torch.ops.mkldnn, units[precision])()


def require_compiler(device: "torch.device") -> None:
    """Raise SettingsError if `torch.compile` finds no C++ compiler (CPUs) or no Triton (GPUs)."""
    if device.type == "cpu":
        names = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++"]
        if not any(shutil.which(name) for name in names):
            raise SettingsError(
                f"--compile needs a C++ compiler on this machine; there is no {' or '.join(names)}.\n"
                "Install one (Debian: apt install g++), set CXX, or leave --compile out."
            )
    elif device.type == "cuda":
        import importlib.util

        if importlib.util.find_spec("triton") is None:
            raise SettingsError("--compile needs Triton here: pip install triton, or leave --compile out.")


def device_of(name: str, place: ProcessInfo) -> "torch.device":
    """The device of this process: each process of a machine has its own GPU.

    Args:
        name: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        place: of this process.

    Raises:
        SettingsError: no such device here, or fewer GPUs than processes.
        MachineError: the job was given GPUs, and there are none to be seen.
    """
    import torch

    target = pick_device(name)
    job = current_job()
    if name == "auto" and job is not None and job.gpus and target.type != "cuda":
        raise MachineError(
            f"the job was given {job.gpus} GPUs, and PyTorch {torch.__version__} sees none on {job.node}.\n"
            "Its driver may be broken, or PyTorch is a build without CUDA. To compute on processors all the "
            'same, set device = "cpu" in the profile, or say --device cpu.'
        )
    if target.type != "cuda" or place.world_size == 1:
        return target
    found = torch.cuda.device_count()
    # One that was given to this process alone is its only one.
    number = 0 if found == 1 and _has_a_gpu_to_itself(os.environ) else place.local_rank
    if number >= found:
        raise SettingsError(
            f"process {place.local_rank + 1} on this machine finds {found} GPUs.\n"
            "Start as many processes as there are GPUs."
        )
    own = torch.device("cuda", number)
    torch.cuda.set_device(own)
    return own


def _has_a_gpu_to_itself(environment: Mapping[str, str]) -> bool:
    return "SLURM_GPUS_PER_TASK" in environment
