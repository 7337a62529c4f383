"""Run on a Slurm cluster: ``--on slurm``, or a profile.

- `options`: what a profile may say.
- `launcher`: submits jobs, through submitit, and queries their status.
- `worker`: what runs in a job.
- `slurm_cli`: Slurm's programs. `messages`: what their answers mean.
"""
