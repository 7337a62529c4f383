"""What benchmarks share with tests: a real Slurm."""

import pytest
from support.cluster.slurm_cluster import cluster, slurm_programs
from support.skips import mark_by_fixtures

__all__ = ["cluster", "slurm_programs"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the benchmarks that need a cluster."""
    mark_by_fixtures(items)
