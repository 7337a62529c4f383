"""Runs on a Slurm cluster: ``--on slurm``, or a profile of one's own.

- `options`: what a profile may say.
- `launcher`: hands jobs over, through submitit, and asks what has become of them.
- `task`: what runs in a job.
- `commands`: Slurm's programs. `explanations`: what their words mean.
"""
