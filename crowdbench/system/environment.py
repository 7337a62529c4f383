"""Describe this machine and its software for the record of a run."""

import os
import platform
import re
import socket
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from crowdbench.system.job_context import current_job

if TYPE_CHECKING:
    import torch

# Packages whose version can change a prediction or a score.
_RECORDED = ("crowdbench", "torch", "numpy", "opencv-python-headless", "hotcoco", "pycocotools")

# Variables by which libraries choose other kernels, or another arithmetic.
_DECIDING = re.compile(
    r"NVIDIA_TF32_OVERRIDE|TORCH_ALLOW_TF32_CUBLAS_OVERRIDE|ATEN_CPU_CAPABILITY|MKL_CBWR|MKL_ENABLE_INSTRUCTIONS"
    r"|MKL_DEBUG_CPU_TYPE|(CUBLAS|CUBLASLT|CUDNN|ONEDNN|DNNL|OPENCV|PYTORCH_TUNABLEOP|ORT)_\w+"
)
_TALKING = re.compile(r"VERBOSE|LOG|DEBUG(?!_CPU_TYPE)|PROFILE|TRACE|DUMP|NUM_THREADS")


def versions(more: Iterable[str] = ()) -> dict[str, str]:
    """Versions of Python and of the packages that can change a number, including `more` of a method's."""
    found = {"python": platform.python_version()}
    for package in (*_RECORDED, *more):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    import cv2

    # The import, not the metadata: a second OpenCV package may shadow the headless one.
    found["cv2"] = cv2.__version__
    jpeg = re.search(r"^\s*JPEG:\s*(.+?)\s*$", cv2.getBuildInformation(), re.MULTILINE)
    if jpeg:
        found["cv2 JPEG"] = jpeg.group(1)
    return found


def gpu_versions() -> dict[str, str]:
    """Versions of the libraries that PyTorch computes with on a GPU."""
    import torch

    return {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}  # type: ignore[no-untyped-call]


def environment() -> dict[str, str]:
    """Variables and PyTorch settings that can change a number on one machine.

    Without the number of threads and the CPU's features, which differ between nodes of a cluster whose runs
    must find each other; `kind` has them.
    """
    import torch

    found = {name: value for name, value in sorted(os.environ.items()) if _DECIDING.fullmatch(name)}
    found = {name: value for name, value in found.items() if not _TALKING.search(name)}
    if torch.are_deterministic_algorithms_enabled():
        found["deterministic algorithms"] = "yes"
    if not torch.backends.mkldnn.enabled:
        found["oneDNN"] = "off"
    if torch.get_default_dtype() != torch.float32:
        found["default dtype"] = str(torch.get_default_dtype())
    return found


def kind(device: "torch.device") -> str:
    """The kind of machine, as far as it can change the last bits of a number."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability}, {threads} thread{'' if threads == 1 else 's'}"


def host(device: "torch.device") -> dict[str, Any]:
    """Host name, system, CPU count, the device, and the cluster's job if there is one."""
    import torch

    facts: dict[str, Any] = {
        "name": socket.gethostname(),
        "system": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "python": sys.executable,
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
        facts["gpus"] = torch.cuda.device_count()
        facts["cuda"] = torch.version.cuda
        facts["driver"] = _driver()
    job = current_job()
    if job is not None:
        facts["job"] = msgspec.to_builtins(job)
    return facts


def _driver() -> str:
    """The version of the GPU's driver, as its kernel module gives it."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return "unknown"
    found = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return found.group() if found else "unknown"
