"""What benchmarks share with tests: a real Slurm."""

from slurm_cluster import cluster, slurm_programs

__all__ = ["cluster", "slurm_programs"]
