"""Memory that a process frees and takes again costs no page faults."""

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import resource

import torch
from torch import nn

from crowdbench.system.malloc import retain_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

changed = retain_freed_memory()
network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU())
images = torch.zeros(8, 3, 256, 192)
rounds = []
with torch.inference_mode():
    # Several, and the one with the fewest: on a busy machine a thread may need memory of its own late.
    for _ in range(5):
        before = faults()
        for _ in range(4):
            network(images)
        rounds.append(faults() - before)
print(changed, min(rounds))
"""


def page_faults(**environment: str) -> tuple[str, int]:
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(
        command, env={**os.environ, **environment}, check=True, capture_output=True, text=True
    )
    changed, count = done.stdout.split()
    return changed, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_freed_memory_is_kept_for_the_next_maps_unless_the_environment_says_otherwise() -> None:
    changed, count = page_faults()
    assert changed == "True"
    assert count < 1_000
    changed, count = page_faults(MALLOC_TRIM_THRESHOLD_="131072")
    assert changed == "False"
    assert count > 20_000
