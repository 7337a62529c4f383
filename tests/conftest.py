"""Shared fixtures: where the reference numbers and the real samples lie."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(name: str) -> Path:
    path = SHARED / name
    if path.is_dir():
        return path
    if os.environ.get("CI"):
        pytest.fail(f"{path} is missing; CI must have the reference data beside the repository")
    pytest.skip(f"needs the reference data in {path}")


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of golden numbers measured on the original implementations."""
    return _shared("reference")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real samples of CrowdPose, OCHuman and COCO."""
    return _shared("data")
